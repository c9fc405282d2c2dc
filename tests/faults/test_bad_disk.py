"""A disk that is full or fails: nothing is promised that is not kept, and life goes on after."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from random import Random
from shutil import copytree, ignore_patterns

import pytest

from recsys.errors import Unavailable
from recsys.events import Position, Record
from serving.log.sqlite_log import SqliteLog
from tests.faults import script
from tests.faults.checker import FINE, Journal
from tests.faults.disk import Disk
from tests.faults.operations import (
    FULL,
    SYNC_ERROR,
    SYNCING,
    WRITE_ERROR,
    WRITING,
    FailsOnce,
    FailsUntilLifted,
    Kind,
)
from tests.faults.place import START, Place, append, events, ids, verdict, verdict_after_retries
from tests.faults.power import Cut, PowerModel
from tests.faults.scale import SEED, runs

SENT = frozenset(ids(script.SENT))


def left_by_a_cut(disk: Disk, cut: Cut, into: Path) -> Place:
    """Return the place that a power cut at the end of what a disk noted leaves."""
    model = PowerModel(disk)
    for step in disk.steps:
        model.take(step)
    into.mkdir()
    model.left(cut, Random(SEED), into)
    return Place(into)


@pytest.mark.parametrize(
    ("kinds", "code", "fewest"),
    [(WRITING, FULL, 150), (WRITING, WRITE_ERROR, 150), (SYNCING, SYNC_ERROR, 90)],
)
def test_fault_at_any_operation_breaks_no_promise_even_if_the_power_is_cut(
    kinds: frozenset[Kind], code: int, fewest: int, tmp_path: Path
) -> None:
    step = runs(3 if kinds == SYNCING else 11, 1)

    past = next(n for n in count(1, step) if not reaches(n, code, kinds, tmp_path))

    assert past > fewest, "the script has had more operations to fail at"


def reaches(n: int, code: int, kinds: frozenset[Kind], tmp_path: Path) -> bool:
    """Check the script's life with a fault at the n-th operation; return whether it had so many."""
    place = Place(tmp_path / f"{n}")
    place.path.mkdir()
    fault = FailsOnce(n, code, kinds)

    with Disk(place.path, fault) as disk:
        _lived(place, disk)

    promised = frozenset(disk.acknowledged(len(disk.steps)))
    after = left_by_a_cut(disk, Cut.DROPPED, tmp_path / f"{n}-cut")
    for one in (place, after):
        assert verdict(one, Journal(SENT, promised)) == FINE, n
        assert verdict_after_retries(one, script.SENT) == FINE, n
    return fault.seen >= n


def _lived(place: Place, disk: Disk) -> None:
    """Live through the script; where even the start fails, start again."""
    try:
        script.run(place, disk.acknowledge)
    except Unavailable:
        script.run(place, disk.acknowledge)


@pytest.mark.parametrize(
    ("kinds", "code"), [(WRITING, FULL), (WRITING, WRITE_ERROR), (SYNCING, SYNC_ERROR)]
)
async def test_log_refuses_while_the_disk_fails_reads_on_and_recovers_by_itself(
    kinds: frozenset[Kind], code: int, tmp_path: Path
) -> None:
    fault = FailsUntilLifted(code, kinds, down=False)
    with Disk(tmp_path, fault):
        log = SqliteLog(Place(tmp_path).log_file, clock=lambda: START)
        await log.append([Record(one) for one in events(0, 9)])
        fault.down = True
        for number in range(10, 20):
            with pytest.raises(Unavailable) as caught:
                await log.append([Record(one) for one in events(number, number)])
            assert caught.value.reason == "LOG_UNAVAILABLE"
            assert len(await log.read(Position(0), 100)) == 10
        fault.down = False

        appended = await log.append([Record(one) for one in events(10, 19)])

        await log.close()
    assert len(appended.new) == 10
    assert verdict(Place(tmp_path), Journal.of(events(0, 19), events(0, 19))) == FINE


def test_promise_after_a_failed_sync_and_the_death_of_all_survives_a_power_cut(
    tmp_path: Path,
) -> None:
    """After the failed sync the system's cache shows a commit that the disk does not have."""
    first, second = Place(tmp_path / "first"), Place(tmp_path / "second")
    first.path.mkdir()
    with Disk(first.path) as disk:
        writer = first.writer()
        append(writer, events(0, 4))
        with first.tail():
            disk.fault = FailsOnce(1, SYNC_ERROR, SYNCING)
            with pytest.raises(Unavailable):
                append(writer, events(5, 9))
            copytree(first.path, second.path, ignore=ignore_patterns("*-shm"))
            held = left_by_a_cut(disk, Cut.DROPPED, tmp_path / "held")

    with Disk(second.path, holding=held.path) as disk, second.tail():
        append(second.writer(), events(10, 14))
        after = left_by_a_cut(disk, Cut.DROPPED, tmp_path / "after")

    sent, promised = events(0, 14), [*events(0, 4), *events(10, 14)]
    assert verdict(after, Journal.of(sent, promised)) == FINE


def test_failed_sync_of_a_new_folder_is_made_up_for(tmp_path: Path) -> None:
    place, some = Place(tmp_path / "place"), events(0, 4)
    place.path.mkdir()

    with Disk(place.path, FailsOnce(1, SYNC_ERROR, [Kind.SYNC_FOLDER])) as disk:
        writer = place.writer()
        with pytest.raises(Unavailable):
            append(writer, some)
        append(writer, some)
        after = left_by_a_cut(disk, Cut.DROPPED, tmp_path / "after")
        writer.close()

    assert verdict(after, Journal.of(some, some)) == FINE
