"""The instruments themselves, on cases that a person can work out."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest

from tests.faults.checker import FINE, Journal, Verdict, disagreements, judged
from tests.faults.disk import Disk
from tests.faults.operations import FULL, SYNCING, FailsOnce
from tests.faults.place import Place, append, events
from tests.faults.power import Cut, PowerModel

JOURNAL = Journal(frozenset("abcd"), acknowledged=frozenset("ab"), refused=frozenset("d"))


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        ("ab", FINE),
        ("abc", FINE),
        ("a", Verdict(lost=("b",))),
        ("abb", Verdict(doubled=("b",))),
        ("abd", Verdict(invented=("d",))),
        ("abx", Verdict(invented=("x",))),
    ],
)
def test_verdict_names_what_is_lost_doubled_and_invented(found: str, wrong: Verdict) -> None:
    assert judged(JOURNAL, list(found)) == wrong


def test_two_events_under_one_position_are_a_disagreement() -> None:
    assert disagreements([[(1, "a"), (2, "b")], [(1, "a"), (2, "c")]]) == [2]


def test_torn_last_line_of_a_journal_is_no_line(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("sent a b\nacknowledged a\nacknowl")

    journal = Journal.read([tmp_path / "journal"])

    assert journal == Journal(frozenset("ab"), frozenset("a"))


def after(disk: Disk, cut: Cut, into: Path) -> dict[str, bytes]:
    """Return what a cut at the end of what a disk noted leaves, by relative path."""
    model = PowerModel(disk)
    for step in disk.steps:
        model.take(step)
    into.mkdir()
    model.left(cut, Random(1), into)
    return {
        str(path.relative_to(into)): path.read_bytes()
        for path in sorted(into.rglob("*"))
        if path.is_file()
    }


def synced(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def test_cut_leaves_synced_content_under_synced_names_and_nothing_else(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with Disk(root) as disk:
        for name in ("whole", "nameless", "empty"):
            (root / name).write_bytes(name.encode())
        synced(root / "whole")
        (root / "nameless").rename(root / "later")
        synced(root / "empty")
        synced(root)
        (root / "empty").write_bytes(b"written again")
        (root / "new").write_bytes(b"new")
        synced(root / "new")

    assert after(disk, Cut.DROPPED, tmp_path / "left") == {
        "empty": b"empty",
        "later": b"",
        "whole": b"whole",
    }


def test_rename_that_was_not_synced_is_undone(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "old").write_bytes(b"content")
    with Disk(root) as disk:
        (root / "old").rename(root / "new")

    assert after(disk, Cut.DROPPED, tmp_path / "left") == {"old": b"content"}


def test_what_a_failed_sync_should_have_kept_no_later_sync_keeps(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").write_bytes(b"old")
    with Disk(root, FailsOnce(1, FULL, SYNCING)) as disk:
        (root / "file").write_bytes(b"new")
        with pytest.raises(OSError, match="No space"):
            synced(root / "file")
        synced(root / "file")

    assert after(disk, Cut.DROPPED, tmp_path / "left") == {"file": b"old"}


def test_sqlite_is_watched_and_its_files_can_be_told_from_its_operations(tmp_path: Path) -> None:
    place = Place(tmp_path / "root")
    place.path.mkdir()
    with Disk(place.path) as disk:
        writer = place.writer()
        with place.tail():
            append(writer, events(0, 9))
            append(writer, events(10, 19))
            shown = {
                path.name: path.read_bytes()
                for path in place.log_file.parent.iterdir()
                if not path.name.endswith("-shm")
            }
            told = after(disk, Cut.DROPPED, tmp_path / "left")
        writer.close()

    assert {name.removeprefix("log/"): content for name, content in told.items()} == shown
