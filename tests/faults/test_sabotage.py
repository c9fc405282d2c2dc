"""Each deliberate defect is found by the test of the promise that it breaks."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import Phase

from recsys.errors import Unavailable
from serving.api.event_servicer import EventServicer
from serving.log.sqlite_log import SqliteLog
from serving.state.embedded import EmbeddedValkey
from tests.faults import test_bad_disk as bad_disk
from tests.faults import test_clocks as clocks
from tests.faults import test_every_step as every_step
from tests.faults import test_poison as poison
from tests.faults import test_redis_faults as redis_faults
from tests.faults.checker import Journal
from tests.faults.nursery import Nursery
from tests.faults.operations import SYNC_ERROR, SYNCING
from tests.faults.place import Place, verdict
from tests.faults.power import Cut
from tests.faults.sabotage import DEFECTS
from tests.faults.scale import SEED
from tests.faults.test_any_interleaving import explore
from tests.faults.test_clocks import server as server  # a fixture
from tests.faults.test_kills import works
from tests.faults.test_poison import log as log  # a fixture
from tests.faults.test_poison import servicer as servicer  # a fixture
from tests.faults.troubled import House

UNREADABLE = "the lake cannot be used"


@pytest.mark.parametrize(
    ("defect", "cut"),
    [
        ("no commit synced", Cut.DROPPED),
        ("commits synced now and then", Cut.DROPPED),
        ("acknowledged before the commit", Cut.DROPPED),
        ("repeats taken for new", Cut.DROPPED),
        ("positions used again after a trim", Cut.DROPPED),
        ("folder of the log not synced", Cut.DROPPED),
        ("trimmed before drained", Cut.DROPPED),
        ("mark set before the lake has it", Cut.DROPPED),
        ("lake not synced", Cut.DROPPED),
        ("lake told the same twice", Cut.DROPPED),
    ],
)
def test_power_cuts_find(
    defect: str, cut: Cut, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    DEFECTS[defect](monkeypatch)

    with pytest.raises(AssertionError):
        _loses_power_at_any_step(cut, tmp_path)


def test_power_cuts_find_a_lake_that_is_not_repaired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    DEFECTS["lake not repaired"](monkeypatch)

    with pytest.raises(Unavailable, match=UNREADABLE):
        _loses_power_at_any_step(Cut.TRUNCATED, tmp_path)


def _loses_power_at_any_step(cut: Cut, folder: Path) -> None:
    (folder / "life").mkdir()
    recorded = every_step.lived(folder / "life")
    every_step.test_power_cut_at_any_step_keeps_what_was_acknowledged(recorded, cut, folder)


def test_deaths_find_what_is_acknowledged_before_the_commit(
    nursery: Nursery, valkey: EmbeddedValkey, tmp_path: Path
) -> None:
    rng, place, journals = Random(SEED), Place(tmp_path / "data"), tmp_path / "journals"
    journals.mkdir()
    defect = "acknowledged before the commit"

    def lost(number: int) -> bool:
        nursery.run(*works(place, journals, valkey.address.url, number, rng, defect=defect))
        return bool(verdict(place, Journal.read(journals.iterdir())).lost)

    assert any(lost(number) for number in range(20))


def test_failing_syncs_find_what_is_acknowledged_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    DEFECTS["acknowledged in spite of an error"](monkeypatch)

    with pytest.raises(AssertionError):
        _fails_at_any_sync(tmp_path)


def test_failing_syncs_find_a_commit_of_the_lake_that_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    DEFECTS["failed sync of the lake kept"](monkeypatch)

    with pytest.raises(Unavailable, match=UNREADABLE):
        _fails_at_any_sync(tmp_path)


def _fails_at_any_sync(tmp_path: Path) -> None:
    for n in range(10, 46):
        bad_disk.reaches(n, SYNC_ERROR, SYNCING, tmp_path)


def test_failed_sync_and_power_cut_find_what_is_written_on_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    DEFECTS["written on behind a failed sync"](monkeypatch)

    with pytest.raises(AssertionError):
        bad_disk.test_promise_after_a_failed_sync_and_the_death_of_all_survives_a_power_cut(
            tmp_path
        )


async def test_flush_while_catching_up_finds_a_blind_mark(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    DEFECTS["applied_through set blindly"](monkeypatch)

    with pytest.raises(AssertionError):
        await redis_faults.test_store_flushed_in_the_middle_of_catching_up_gets_everything_again(
            house, monkeypatch
        )


@pytest.mark.parametrize("defect", ["flushed store not noticed", "never caught up"])
async def test_flush_finds(defect: str, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    DEFECTS[defect](monkeypatch)

    with pytest.raises(AssertionError):
        await redis_faults.test_events_are_taken_while_redis_is_harmed_and_none_is_missing_after(
            house, redis_faults.flush
        )


async def test_death_of_redis_finds_that_events_are_refused_with_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    DEFECTS["event refused with its store"](monkeypatch)

    with pytest.raises(Unavailable, match="Redis at"):
        await redis_faults.test_events_are_taken_while_redis_is_harmed_and_none_is_missing_after(
            house, redis_faults.die
        )


@pytest.mark.parametrize("defect", ["repeats of other workers not known", "never caught up"])
def test_interleavings_find(
    defect: str, valkey: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    DEFECTS[defect](monkeypatch)

    with pytest.raises(AssertionError):
        explore(valkey, examples=20, phases=[Phase.generate])


@pytest.mark.parametrize("defect", ["poison ends its request", "poison thrown away"])
async def test_poison_finds(
    defect: str, servicer: EventServicer, log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    DEFECTS[defect](monkeypatch)

    with pytest.raises(AssertionError):
        await poison.test_one_poison_event_in_a_hundred_costs_no_good_one(servicer, log)


async def test_wrong_device_finds_that_its_clock_is_trusted(
    server: clocks.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    DEFECTS["clock of a device trusted"](monkeypatch)

    with pytest.raises(AssertionError):
        await clocks.test_device_that_says_when_it_sends_is_set_right(server, -clocks.YEARS)


async def test_device_far_ahead_finds_that_any_future_is_taken(
    server: clocks.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    DEFECTS["any future taken"](monkeypatch)

    with pytest.raises(AssertionError):
        await clocks.test_device_far_ahead_that_does_not_say_so_is_refused_and_kept_aside(server)
