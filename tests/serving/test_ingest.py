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
from serving.log.event_log import Rejected
from serving.log.sqlite_log import SqliteLog
from serving.state.keys import StateKey

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BAD = RejectedEvent(1, "item_id", "INVALID_INPUT", "item_id: got ''", "event_id: 'e9'")


class NoteStore:
    """A store that notes what it is told to apply, and is away when told to be."""

    def __init__(self, *, away: bool = False) -> None:
        self.applied: list[Record] = []
        self.away = away

    async def read(self, keys: Sequence[Sequence[StateKey]]) -> Sequence[UserState]:
        return [UserState.unknown() for _ in keys]

    async def apply(self, records: Sequence[Record]) -> None:
        if self.away:
            raise Unavailable("the store does not answer")
        self.applied.extend(records)

    async def applied_through(self) -> Position | None:
        return None

    async def set_applied_through(self, position: Position) -> None:
        return None

    async def ping(self) -> None:
        return None

    async def close(self) -> None:
        return None


class FullQuarantine(SqliteLog):
    """A log whose quarantine has no room left."""

    async def quarantine(self, rejected: Sequence[Rejected]) -> None:
        raise Unavailable("no room left")


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
    ingest = Ingest(log, NoteStore(away=True), lambda: NOW)

    result = await ingest.write([view("e1")], [])

    assert (result.accepted, result.position) == (1, 1)
    assert ingest.n_unapplied == 1


async def test_rejected_events_are_kept_aside_and_returned(log: SqliteLog) -> None:
    result = await Ingest(log, NoteStore(), lambda: NOW).write([view("e1")], [BAD])

    assert result.rejected == (BAD,)
    assert await log.quarantined(10) == [Rejected(BAD.payload, BAD.message, BAD.field, NOW)]


async def test_full_quarantine_is_counted_and_does_not_undo_the_valid_events(
    tmp_path: Path,
) -> None:
    log = FullQuarantine(tmp_path / "log.sqlite", clock=lambda: NOW)
    ingest = Ingest(log, NoteStore(), lambda: NOW)

    result = await ingest.write([view("e1")], [BAD])

    assert (result.accepted, ingest.n_unkept) == (1, 1)
    await log.close()


async def test_closed_log_acknowledges_nothing(log: SqliteLog) -> None:
    store = NoteStore()
    await log.close()

    with pytest.raises(Unavailable):
        await Ingest(log, store, lambda: NOW).write([view("e1")], [])

    assert store.applied == []
