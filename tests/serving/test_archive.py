"""When records leave the log for the lake, and when the lake is tidied."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable

from recsys.events import Event, EventType, Position, Record
from recsys.ids import ItemId
from serving.lake.drain import DRAIN_ASKED_THROUGH
from serving.log.records import Lines
from serving.log.tail import LogTail
from serving.log.writer import Writer
from serving.metrics import Registry, UpkeepMetrics
from serving.settings import ServingSettings, read_settings
from serving.upkeep import Archive, Moved

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


@dataclass
class Clock:
    """A clock that is set by hand."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class House:
    settings: ServingSettings
    clock: Clock
    archive: Archive
    n_events: int = field(default=0)

    def append(self, n: int = 1) -> Position:
        writer = Writer(self.settings.log_file, clock=self.clock)
        numbers = range(self.n_events, self.n_events + n)
        self.n_events += n
        records = [
            Record(Event(str(number), EventType.LIKE, NOON, ItemId("tea"), user_id="ann"))
            for number in numbers
        ]
        placed = writer.append(Lines.of(records))
        writer.close()
        return placed.last_position

    def ask(self, through: Position) -> None:
        tail = LogTail(self.settings.log_file)
        tail.set_mark(DRAIN_ASKED_THROUGH, through)
        tail.close()

    def files(self) -> int:
        return len(DeltaTable(self.settings.lake_folder / "events").file_uris())


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    settings = read_settings(data_folder=tmp_path, drain_records=3, drain_interval_s=60.0)
    clock = Clock()
    async with Archive(settings, clock) as archive:
        await archive.drain_when_due()  # what an earlier server left is drained at once
        yield House(settings, clock, archive)


async def test_few_records_wait_for_their_time(house: House) -> None:
    house.append(2)

    early = await house.archive.drain_when_due()
    house.clock.forward(60)
    late = await house.archive.drain_when_due()

    assert (early, late) == (None, Moved(2))


async def test_many_records_do_not_wait(house: House) -> None:
    house.append(3)

    assert await house.archive.drain_when_due() == Moved(3)


async def test_what_somebody_waits_for_goes_at_once_and_once(house: House) -> None:
    house.ask(house.append())

    first = await house.archive.drain_when_due()
    house.append()
    second = await house.archive.drain_when_due()

    assert (first, second) == (Moved(1, asked=True), None)


async def test_a_clock_set_back_delays_nothing(house: House) -> None:
    house.append()
    house.clock.forward(-3_600)

    assert await house.archive.drain_when_due() == Moved(1)


async def test_an_end_drains_whatever_waits(house: House) -> None:
    house.append()

    assert await house.archive.drain() == Moved(1)


async def test_tidying_merges_files_and_counts_customers(house: House) -> None:
    for _ in range(3):
        house.append()
        await house.archive.drain()

    await house.archive.tidy()
    written = [await house.archive.write_customers() for _ in range(2)]

    assert house.files() == 1
    assert written == [True, False]
    assert DeltaTable(house.settings.lake_folder / "customers").count() == 1


async def test_item_numbers_that_are_used_are_measured(house: House) -> None:
    registry = Registry()
    metrics = UpkeepMetrics.of(registry)
    found = []
    for _ in range(2):
        await house.archive.measure(metrics)
        found.append(registry.get_sample_value("recsys_item_numbers"))
        house.append(3)
        await house.archive.drain()

    assert found == [0, 1]
