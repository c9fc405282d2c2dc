from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recsys.errors import Unavailable
from recsys.events import Event, EventType, Position, Record
from recsys.ids import ItemId
from recsys.state import UserState
from serving.ingest import Ingest, RejectedEvent
from serving.log.customer_register import CustomerProfile
from serving.log.event_log import Rejected
from serving.log.sqlite_log import SqliteLog
from serving.metrics import EventMetrics, Registry, totals
from serving.state.keys import StateKey
from serving.state.profiles import Known

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LAG = "event_to_recommendation_lag_seconds"
BAD = RejectedEvent(1, "item_id", "INVALID_INPUT", "item_id: got ''", "event_id: 'e9'")


class NoteStore:
    """A store that notes what it is told to apply, and is away when told to be."""

    def __init__(self, *, away: bool = False) -> None:
        self.applied: list[Record] = []
        self.away = away
        self.through: Position | None = None

    async def read(self, keys: Sequence[Sequence[StateKey]]) -> Sequence[UserState]:
        return [UserState.unknown() for _ in keys]

    async def apply(self, records: Sequence[Record]) -> None:
        if self.away:
            raise Unavailable("the store does not answer")
        self.applied.extend(records)

    async def known(self, keys: Sequence[Sequence[StateKey]]) -> Sequence[Known]:
        return [Known.nobody() for _ in keys]

    async def apply_profiles(self, profiles: Sequence[CustomerProfile]) -> None:
        return

    async def applied_through(self) -> Position | None:
        return self.through

    async def set_applied_through(self, position: Position, expected: Position | None) -> bool:
        return True

    async def close(self) -> None:
        return None


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[SqliteLog]:
    log = SqliteLog(tmp_path / "log.sqlite", clock=lambda: NOW)
    yield log
    await log.close()


def view(event_id: str) -> Event:
    return Event(event_id, EventType.DETAIL_VIEW, NOW, ItemId("bread"), user_id="ann")


async def test_events_are_durable_and_applied_with_their_positions(log: SqliteLog) -> None:
    store = NoteStore()

    result = await Ingest(log, store, lambda: NOW).write([view("e1"), view("e2")], [])

    assert (result.accepted, result.duplicates, result.position) == (2, 0, 2)
    assert [(record.position, record.item_row) for record in store.applied] == [(1, 0), (2, 0)]


async def test_repeated_event_counts_once_and_is_applied_once(log: SqliteLog) -> None:
    store = NoteStore()
    ingest = Ingest(log, store, lambda: NOW)
    await ingest.write([view("e1")], [])

    result = await ingest.write([view("e1"), view("e2")], [])

    assert (result.accepted, result.duplicates, result.position) == (1, 1, 2)
    assert [record.position for record in store.applied] == [1, 2]


async def test_store_away_still_acknowledges_and_counts(log: SqliteLog) -> None:
    registry = Registry()
    ingest = Ingest(log, NoteStore(away=True), lambda: NOW, EventMetrics.of(registry))

    result = await ingest.write([view("e1")], [])

    assert (result.accepted, result.position) == (1, 1)
    assert totals(registry)["events_unapplied"] == 1


async def test_events_are_counted_by_what_became_of_them(log: SqliteLog) -> None:
    registry = Registry()
    ingest = Ingest(log, NoteStore(), lambda: NOW, EventMetrics.of(registry))

    await ingest.write([view("e1"), view("e1"), view("e2"), view("e3")], [BAD, BAD])

    assert totals(registry) == {"events_accepted": 3, "events_duplicate": 1, "events_rejected": 2}


async def test_lag_is_measured_once_a_request_when_the_store_has_its_events(
    log: SqliteLog,
) -> None:
    registry = Registry()
    ingest = Ingest(log, NoteStore(), lambda: NOW, EventMetrics.of(registry))

    await ingest.write([view("e1"), view("e2")], [])
    await ingest.write([view("e1")], [])

    assert registry.get_sample_value(f"{LAG}_count") == 1


async def test_lag_of_what_the_store_missed_is_measured_once_it_is_applied(
    log: SqliteLog,
) -> None:
    registry, store = Registry(), NoteStore(away=True)
    ingest = Ingest(log, store, lambda: NOW, EventMetrics.of(registry))
    for event_id in ("e1", "e2"):
        await ingest.write([view(event_id)], [])
    measured = []

    for applied in (0, 1, 1, 2):
        store.through = Position(applied)
        await ingest.note_late()
        measured.append(registry.get_sample_value(f"{LAG}_count"))

    assert measured == [0, 1, 1, 2]


async def test_rejected_events_are_kept_aside_and_returned(log: SqliteLog) -> None:
    result = await Ingest(log, NoteStore(), lambda: NOW).write([view("e1")], [BAD])

    assert result.rejected == (BAD,)
    assert await log.quarantined(10) == [
        Rejected(BAD.payload, BAD.reason, BAD.message, BAD.field, NOW, number=1)
    ]


async def test_rejected_events_alone_are_kept_aside(log: SqliteLog) -> None:
    result = await Ingest(log, NoteStore(), lambda: NOW).write([], [BAD])

    assert (result.accepted, result.position) == (0, 0)
    assert len(await log.quarantined(10)) == 1


async def test_events_that_the_log_does_not_take_are_counted_by_why(log: SqliteLog) -> None:
    registry = Registry()
    await log.close()

    with pytest.raises(Unavailable):
        await Ingest(log, NoteStore(), lambda: NOW, EventMetrics.of(registry)).write(
            [view("e1"), view("e2")], [BAD]
        )

    assert totals(registry) == {"events_refused_LOG_CLOSED": 3}


async def test_closed_log_acknowledges_nothing(log: SqliteLog) -> None:
    store = NoteStore()
    await log.close()

    with pytest.raises(Unavailable):
        await Ingest(log, store, lambda: NOW).write([view("e1")], [])

    assert store.applied == []
