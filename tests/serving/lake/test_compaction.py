"""The lake's small files are merged, what is superfluous goes, and every row stays."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable

from recsys.errors import Unavailable
from serving.lake import compaction
from serving.lake.commits import CHECKPOINT_EVERY
from serving.lake.compaction import Step, steps_of
from serving.lake.keeping import Keeping
from tests.serving.lake.drained import DAY, NOON, House, event, house


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path) as opened:
        yield opened


def files_a_day(shop: House) -> dict[str, int]:
    names = [Path(uri).parent.name for uri in DeltaTable(shop.lake.events).file_uris()]
    return {name.removeprefix("day="): names.count(name) for name in sorted(names)}


def test_files_of_a_day_become_one_and_rows_stay(shop: House) -> None:
    for number in range(4):
        shop.drain(event(f"a{number}"), event(f"b{number}", time=NOON + DAY))
    before = shop.table("events").sort_by("position").to_pylist()

    shop.tidy()

    assert files_a_day(shop) == {"2024-05-01": 1, "2024-05-02": 1}
    assert shop.table("events").sort_by("position").to_pylist() == before


def test_a_day_of_one_file_is_left_as_it_is(shop: House) -> None:
    shop.drain(event("1"), event("2", time=NOON + DAY))
    before = shop.lake.versions()

    steps = steps_of(shop.lake.events)
    shop.tidy()

    assert steps == []
    assert shop.lake.versions()["events"] == before["events"]


def test_tables_without_days_are_merged_too(shop: House) -> None:
    for number in range(3):
        shop.drain(event(str(number), item_id=f"item {number}"))

    shop.tidy()

    assert len(DeltaTable(shop.lake.vocabulary).file_uris()) == 1
    assert shop.table("vocabulary").num_rows == 3


def test_nothing_is_drained_twice_behind_a_compaction(shop: House) -> None:
    shop.drain(event("1"))
    shop.drain(event("2", item_id="milk"))
    shop.tidy()
    shop.forget_the_mark()

    shop.drain_again()

    assert shop.event_ids() == ["1", "2"]
    assert shop.table("vocabulary").num_rows == 2


def test_records_may_be_drained_between_two_steps(
    shop: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "STEP_DAYS", 1)
    for number in range(2):
        shop.drain(event(f"a{number}"), event(f"b{number}", time=NOON + DAY))

    for number, _ in enumerate(shop.lake.tidy(Keeping(), NOON)):
        shop.drain(event(f"c{number}", time=NOON + 2 * DAY))

    assert files_a_day(shop)["2024-05-01"] == files_a_day(shop)["2024-05-02"] == 1
    assert shop.event_ids() == ["a0", "a1", "b0", "b1", *(f"c{n}" for n in range(number + 1))]


def test_a_step_is_of_bounded_size(shop: House, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        shop.drain(*(event(os.urandom(4).hex(), time=NOON + day * DAY) for day in range(3)))
    monkeypatch.setattr(compaction, "STEP_BYTES", 1)

    steps = steps_of(shop.lake.events)

    assert steps == [Step(("2024-05-01",)), Step(("2024-05-02",)), Step(("2024-05-03",))]


def test_large_files_are_not_rewritten(shop: House, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.drain(event("1"))
    shop.drain(event("2"))

    monkeypatch.setattr(compaction, "TARGET_BYTES", 1)

    assert steps_of(shop.lake.events) == []


def test_an_older_version_can_be_read_while_it_is_kept(shop: House) -> None:
    shop.drain(event("1"))
    shop.drain(event("2"))
    before = DeltaTable(shop.lake.events)

    shop.tidy(Keeping(versions=timedelta(hours=24)), NOON)

    assert before.to_pyarrow_table().num_rows == 2
    assert len(shop.data_files()) == 3


def test_files_that_no_kept_version_names_are_deleted(shop: House) -> None:
    shop.drain(event("1"))
    shop.drain(event("2"))
    orphan = shop.lake.events / "day=2023-01-01" / "left-by-a-crash.parquet"
    orphan.parent.mkdir()
    orphan.write_bytes(b"")
    os.utime(orphan, (0, 0))

    shop.tidy()

    assert [str(path) for path in shop.data_files()] == DeltaTable(shop.lake.events).file_uris()
    assert not orphan.parent.exists()


def test_a_file_that_is_being_written_is_not_deleted(shop: House) -> None:
    shop.drain(event("1"))
    young = shop.lake.events / "day=2024-05-01" / "not-committed-yet.parquet"
    young.write_bytes(b"")

    shop.tidy(Keeping(versions=timedelta(hours=1)))

    assert young.exists()


def test_commits_go_only_behind_an_aged_checkpoint(shop: House) -> None:
    for number in range(CHECKPOINT_EVERY + 2):
        shop.drain(event(str(number)))

    shop.tidy(Keeping(versions=timedelta(hours=24)), NOON)
    kept = len(shop.log_files("*.json"))
    shop.tidy()

    assert kept > CHECKPOINT_EVERY
    assert int(shop.log_files("*.json")[0].stem) == CHECKPOINT_EVERY
    assert len(shop.event_ids()) == CHECKPOINT_EVERY + 2
    shop.drain(event("new"))
    shop.forget_the_mark()
    shop.drain_again()
    assert len(shop.event_ids()) == CHECKPOINT_EVERY + 3


def test_days_out_of_keeping_go_and_others_stay(shop: House) -> None:
    for days in range(3):
        shop.drain(event(str(days), time=NOON - days * DAY))

    shop.tidy(Keeping(timedelta(0), events_days=1), NOON + timedelta(hours=9))

    assert set(shop.table("events")["day"].to_pylist()) == {date(2024, 5, 1), date(2024, 4, 30)}
    assert len(shop.data_files()) == 2


def test_what_is_out_of_keeping_does_not_come_back_from_the_log(shop: House) -> None:
    shop.drain(event("old", time=NOON - 9 * DAY), event("new"))
    shop.tidy(Keeping(timedelta(0), events_days=1), NOON)
    shop.forget_the_mark()

    shop.drain_again()

    assert shop.event_ids() == ["new"]


def test_events_are_kept_for_good_unless_told_otherwise(shop: House) -> None:
    shop.drain(event("old", time=NOON - 9_000 * DAY))

    shop.tidy(now=NOON)

    assert shop.event_ids() == ["old"]


def test_a_compaction_that_cannot_be_made_durable_is_undone(
    shop: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.drain(event("1"))
    shop.drain(event("2"))
    steps, fsync = shop.lake.tidy(Keeping(), NOON), os.fsync
    next(steps)

    def fails(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(Unavailable):
        next(steps)
    monkeypatch.setattr(os, "fsync", fsync)

    assert files_a_day(shop) == {"2024-05-01": 2}
    assert shop.event_ids() == ["1", "2"]
