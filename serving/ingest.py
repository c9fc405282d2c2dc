"""Taking in events: durable first, then remembered, then acknowledged."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

import structlog

from recsys.customers import CustomerChange
from recsys.errors import Unavailable
from recsys.events import Event, Position, Record
from serving.clock import Clock
from serving.customers import refusals_in
from serving.log.customer_register import CustomersChanged
from serving.log.event_log import Appended, EventLog, Rejected
from serving.metrics import EventMetrics, Registry
from serving.state.store import StateStore

log = structlog.get_logger("serving.ingest")

MOST_LATE = 10_000
"""Requests whose lateness is remembered while the store is away; the oldest are dropped first."""


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


class ChangesCustomers(Protocol):
    """Whatever changes customers."""

    async def change(self, changes: Sequence[CustomerChange]) -> CustomersChanged:
        """Make the changes that may be made; they are durable. Raises Unavailable."""
        ...


class Ingest:
    """An EventSink over the log and the store of customer state.

    customers: is told of unsubscriptions, which outlive a state.
    may_be_kept: whether the text of a rejected event may be; not where it names who was erased.

    What the log holds is acknowledged: with the store away, the events are applied later by the
    supervisor. Rejected events are kept aside in the commit of the good ones.
    """

    def __init__(
        self,
        event_log: EventLog,
        store: StateStore,
        clock: Clock,
        metrics: EventMetrics | None = None,
        *,
        customers: ChangesCustomers | None = None,
        may_be_kept: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self._may_be_kept = may_be_kept
        self._customers = customers
        self._log = event_log
        self._store = store
        self._clock = clock
        self._metrics = metrics or EventMetrics.of(Registry())
        self._late: deque[tuple[Position, float]] = deque(maxlen=MOST_LATE)

    async def write(self, valid: Sequence[Event], rejected: Sequence[RejectedEvent]) -> WriteResult:
        """Record events durably, apply them, and keep the rejected ones aside."""
        records = [Record(event) for event in valid]
        started = perf_counter()
        appended = await self._appended(records, rejected)
        durable_at = perf_counter()
        self._metrics.append_seconds.observe(durable_at - started)
        new = appended.new
        result = WriteResult(
            len(new),
            len(valid) - len(new),
            appended.last_position if valid else 0,
            tuple(rejected),
        )
        self._count(result)
        if new:
            await self._apply(new, durable_at)
        if self._customers and (refusals := refusals_in(valid)):
            await self._customers.change(refusals)
        return result

    @property
    def behind(self) -> bool:
        """Whether the store has not taken, as far as is known, what was acknowledged here."""
        return bool(self._late)

    async def note_late(self) -> None:
        """Note how late the store took what it had not taken at once; to be called regularly.

        Raises Unavailable while the store is away.
        """
        if not self._late:
            return
        applied = await self._store.applied_through() or 0
        now = perf_counter()
        while self._late and self._late[0][0] <= applied:
            _, durable_at = self._late.popleft()
            self._metrics.lag_seconds.observe(now - durable_at)

    async def _appended(
        self, records: Sequence[Record], rejected: Sequence[RejectedEvent]
    ) -> Appended:
        try:
            return await self._log.append(records, self._aside(rejected))
        except Unavailable as error:
            self._metrics.refused.labels(error.reason).inc(len(records) + len(rejected))
            raise

    async def _apply(self, records: Sequence[Record], durable_at: float) -> None:
        try:
            await self._store.apply(records)
        except Unavailable as error:
            self._metrics.unapplied.inc(len(records))
            self._late.append((Position(records[-1].position), durable_at))
            log.warning("events wait for the store", n_events=len(records), reason=error.reason)
        else:
            self._metrics.lag_seconds.observe(perf_counter() - durable_at)

    def _count(self, result: WriteResult) -> None:
        self._metrics.accepted.inc(result.accepted)
        if result.duplicates:
            self._metrics.duplicate.inc(result.duplicates)
        if result.rejected:
            self._metrics.rejected.inc(len(result.rejected))

    def _aside(self, rejected: Sequence[RejectedEvent]) -> list[Rejected]:
        now = self._clock()
        return [
            Rejected(event.payload, event.reason, event.message, event.field, now)
            for event in rejected
            if self._may_be_kept(event.payload)
        ]
