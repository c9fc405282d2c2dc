"""What a log of records promises, whatever engine keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from recsys.events import Position, Record


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of the records of one append, in their order.

    records: each as stored, with its position and item row; None for a duplicate.
    last_position: of the newest record the log holds for this append, or held before it.
    """

    records: tuple[Record | None, ...]
    last_position: Position

    @property
    def new(self) -> tuple[Record, ...]:
        """The records that were not there before."""
        return tuple(record for record in self.records if record is not None)

    @property
    def n_duplicates(self) -> int:
        """How many events the log already had under the same event_id."""
        return len(self.records) - len(self.new)


@dataclass(frozen=True, slots=True)
class Rejected:
    """An event that cannot be used, kept so that nobody has to guess what was lost.

    payload: what came, as text.
    reason: what is wrong with it, in words.
    field: path of the field at fault.
    received: when it came, UTC.
    """

    payload: str
    reason: str
    field: str
    received: datetime


class EventLog(Protocol):
    """One durable, ordered record of every fact from outside.

    Laws: positions ascend and are never reused; an event_id counts once; an item keeps its row
    for good; what `append` returned survives the process and the machine.
    """

    async def append(self, records: Sequence[Record]) -> Appended:
        """Store the records and return them with positions; they are durable on return.

        Raises Unavailable, with nothing stored, when the log cannot commit.
        """
        ...

    async def read(self, after: Position, limit: int) -> Sequence[Record]:
        """Return at most `limit` records behind position `after`, in order."""
        ...

    async def last_position(self) -> Position:
        """Return the highest position ever given, 0 for a new log."""
        ...

    async def quarantine(self, rejected: Sequence[Rejected]) -> None:
        """Keep events that cannot be used, durably, beside the log."""
        ...

    async def quarantined(self, limit: int) -> Sequence[Rejected]:
        """Return the newest rejected events, newest first."""
        ...
