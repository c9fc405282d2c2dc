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
    reason: machine-readable, such as INVALID_INPUT. message: the same in words.
    field: path of the field at fault.
    received: when it came, UTC.
    number: under which it is kept, > 0, never used twice; 0 until then.
    """

    payload: str
    reason: str
    message: str
    field: str
    received: datetime
    number: int = 0


@dataclass(frozen=True, slots=True)
class Placed:
    """Where the lines of one append went, in their order.

    positions: of each line; 0 for a duplicate.
    item_rows: of each line's item; -1 for a duplicate, and for an event without an item.
    last_position: highest position of the log when they were in.
    received: when the log took them, microseconds since 1970.
    """

    positions: Sequence[int]
    item_rows: Sequence[int]
    last_position: Position
    received: int

    @property
    def n_new(self) -> int:
        """How many lines were not duplicates."""
        return len(self.positions) - self.positions.count(0)

    def part(self, start: int, stop: int) -> Placed:
        """Return the outcome of the lines in [start, stop)."""
        if stop - start == len(self.positions):
            return self
        rows = self.item_rows[start:stop]
        return Placed(self.positions[start:stop], rows, self.last_position, self.received)


class EventLog(Protocol):
    """One durable, ordered record of every fact from outside.

    Laws: positions ascend and are never reused; an event_id counts once; an item keeps its row
    for good; what `append` returned survives the process and the machine.
    """

    async def append(
        self, records: Sequence[Record], rejected: Sequence[Rejected] = ()
    ) -> Appended:
        """Store the records and return them with positions; they are durable on return.

        rejected: events that cannot be used, kept aside in the same commit.
        Raises Unavailable, with nothing stored, when the log cannot commit.
        """
        ...

    async def read(self, after: Position, limit: int) -> Sequence[Record]:
        """Return at most `limit` records behind position `after`, in order."""
        ...

    async def last_position(self) -> Position:
        """Return the highest position ever given, 0 for a new log."""
        ...

    async def quarantined(self, limit: int, *, before: int = 0) -> Sequence[Rejected]:
        """Return at most `limit` rejected events, newest first.

        before: only those with a lower number, 0: from the newest on.
        """
        ...

    async def resolve(self, numbers: Sequence[int]) -> int:
        """Take the rejected events of these numbers out; return how many there were."""
        ...
