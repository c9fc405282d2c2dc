"""Taking in events: durable first, then remembered, then acknowledged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from recsys.errors import Unavailable
from recsys.events import Event, Record
from serving.clock import Clock
from serving.log.event_log import EventLog, Rejected
from serving.state.store import StateStore

log = structlog.get_logger("serving.ingest")


@dataclass(frozen=True, slots=True)
class RejectedEvent:
    """One event that does not count, and why.

    index: its place in the request, from 0.
    field: name of the field at fault.
    reason: machine-readable, such as INVALID_INPUT.
    message: what came, what was wanted and what to do.
    payload: the event as it came, for quarantine; empty on the caller's side.
    """

    index: int
    field: str
    reason: str
    message: str
    payload: str = ""


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What became of the events of one request; the three counts add up to them.

    accepted: events recorded now.
    duplicates: events whose id was recorded before, or earlier in the request.
    position: place in the log up to which both stand; 0 when there was none.
    """

    accepted: int
    duplicates: int
    position: int
    rejected: tuple[RejectedEvent, ...] = ()


class EventSink(Protocol):
    """Whatever records events."""

    async def write(self, valid: Sequence[Event], rejected: Sequence[RejectedEvent]) -> WriteResult:
        """Record events durably, and keep the rejected ones aside.

        Raises Unavailable, with nothing acknowledged, when they cannot be made durable.
        """
        ...


class Ingest:
    """An EventSink over the log and the store of customer state.

    What the log holds is acknowledged: with the store away, the events are applied later by the
    supervisor, and a failure to keep rejected events aside is only counted, since the caller is
    told of each.

    n_unapplied: events acknowledged but not applied here, so far.
    n_unkept: rejected events that quarantine could not keep, so far.
    """

    def __init__(self, event_log: EventLog, store: StateStore, clock: Clock) -> None:
        self.n_unapplied = 0
        self.n_unkept = 0
        self._log = event_log
        self._store = store
        self._clock = clock

    async def write(self, valid: Sequence[Event], rejected: Sequence[RejectedEvent]) -> WriteResult:
        """Record events durably, apply them, and keep the rejected ones aside."""
        result = await self._record(valid) if valid else WriteResult(0, 0, 0)
        if rejected:
            await self._keep(rejected)
        return WriteResult(result.accepted, result.duplicates, result.position, tuple(rejected))

    async def _record(self, events: Sequence[Event]) -> WriteResult:
        appended = await self._log.append([Record(event) for event in events])
        if appended.new:
            await self._apply(appended.new)
        return WriteResult(len(appended.new), appended.n_duplicates, appended.last_position)

    async def _apply(self, records: Sequence[Record]) -> None:
        try:
            await self._store.apply(records)
        except Unavailable as error:
            self.n_unapplied += len(records)
            log.warning("events wait for the store", n_events=len(records), reason=error.reason)

    async def _keep(self, rejected: Sequence[RejectedEvent]) -> None:
        now = self._clock()
        kept = [Rejected(event.payload, event.message, event.field, now) for event in rejected]
        try:
            await self._log.quarantine(kept)
        except Unavailable as error:
            self.n_unkept += len(kept)
            log.warning("rejected events not kept", n_events=len(kept), reason=error.reason)
