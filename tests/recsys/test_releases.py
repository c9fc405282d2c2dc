from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

import pytest

from recsys.releases import history, move_pointer, pointer, previous, read_pointer, versions

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for version in ("v1", "v2", "v3"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "manifest.json").write_text("{}")
    return tmp_path


def serve(folder: Path, *names: str) -> None:
    for name in names:
        move_pointer(folder, name, reason="test", now=NOW)


def test_nothing_is_served_before_the_first_move(folder: Path) -> None:
    assert read_pointer(folder) is None
    assert previous(folder) is None
    assert history(folder) == ()


def test_a_move_is_read_back_and_told_in_the_history(folder: Path) -> None:
    serve(folder, "v1", "v2")

    assert read_pointer(folder) == "v2"
    assert [(move.version, move.previous) for move in history(folder)] == [("v1", ""), ("v2", "v1")]


def test_one_writing_of_the_pointer_is_never_read_as_two_releases(folder: Path) -> None:
    mover = Thread(target=serve, args=(folder, *("v1", "v2") * 100))
    read = set()

    mover.start()
    while mover.is_alive():
        read.add(pointer(folder))

    read.discard(None)
    written = [(one.written, one.version) for one in read if one]
    assert len(written) > 1
    assert len({when for when, _ in written}) == len(written)


def test_versions_are_folders_with_a_manifest_and_no_drafts(folder: Path) -> None:
    (folder / "empty").mkdir()
    (folder / ".train-v4").mkdir()
    (folder / ".train-v4" / "manifest.json").write_text("{}")

    assert versions(folder) == ("v1", "v2", "v3")
    assert versions(folder / "nowhere") == ()


def test_the_previous_release_is_what_was_served_before(folder: Path) -> None:
    serve(folder, "v1", "v3", "v2")

    assert previous(folder) == "v3"


def test_rolling_back_twice_goes_two_steps_back(folder: Path) -> None:
    serve(folder, "v1", "v2", "v3", "v2")

    assert previous(folder) == "v1"


def test_a_release_that_is_gone_is_no_previous_one(folder: Path) -> None:
    serve(folder, "v1", "v2", "v3")
    (folder / "v2" / "manifest.json").unlink()

    assert previous(folder) == "v1"


def test_a_crash_between_history_and_pointer_changes_nothing_served(folder: Path) -> None:
    serve(folder, "v1", "v2", "v3")
    (folder / "current").write_text("v2\n")  # the pointer never moved to v3

    assert read_pointer(folder) == "v2"
    assert previous(folder) == "v1"


def test_a_torn_line_of_the_history_is_left_out_and_later_moves_are_kept(folder: Path) -> None:
    serve(folder, "v1")
    with (folder / "history.jsonl").open("a") as file:
        file.write('{"time": "20')
    serve(folder, "v2")

    assert [move.version for move in history(folder)] == ["v1", "v2"]
