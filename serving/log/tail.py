"""The log seen from behind: reading, marks, trimming. What the drain and the supervisor use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import apsw
import numpy as np
from numpy.typing import NDArray

from recsys.arrays import Rows as ItemRows
from recsys.events import Position, Record
from serving.log import items, quarantine
from serving.log.blocks import Block
from serving.log.customer_reads import facts_between, nth_fact
from serving.log.customer_register import CustomerFact
from serving.log.database import connect, last_position, said_as_unavailable
from serving.log.event_log import Rejected
from serving.log.items import RegisteredItem
from serving.log.records import DIGEST_BYTES, MICROSECONDS_A_DAY
from serving.log.seen import DAYS_REMEMBERED

Rows = Iterable[tuple[Any, ...]]
"""What SQLite answers; the tables say what is in it."""

DRAINED_THROUGH = "drained_through"
DAYS_IN_QUARANTINE = 30
_TRIMMED_EVENTS = "trimmed_events_through"
_TRIM_STEP = 50_000
_BLOCK = "SELECT last, first, received, item_rows, payload FROM blocks "


@dataclass(frozen=True, slots=True)
class RawRows:
    """Events, or items, as the log holds them, by ascending position.

    positions: (n,) int64. item_rows: (n,) int32, -1 for an event without an item.
    received: (n,) int64, microseconds since 1970; of items, when they were described first.
    payloads: JSON of the facts, one a line, in as many pieces as it takes.
    """

    positions: NDArray[np.int64]
    item_rows: ItemRows
    received: NDArray[np.int64]
    payloads: Sequence[bytes]

    def __len__(self) -> int:
        return len(self.positions)


class LogTail:
    """One connection to a log, used by one thread at a time. Every method raises Unavailable."""

    def __init__(self, path: Path) -> None:
        with said_as_unavailable("open"):
            self._connection = connect(path)

    def close(self) -> None:
        """Let the file go."""
        self._connection.close(True)

    def records(self, after: Position, limit: int) -> list[Record]:
        """Return at most `limit` records behind position `after`, in order."""
        found: list[Record] = []
        with said_as_unavailable("be read"):
            for block in self._blocks("WHERE last > ? ORDER BY last", after):
                start = max(after, block.first - 1)
                found += block.within(start, start + limit - len(found)).records()
                if len(found) == limit:
                    break
        return found

    def events(self, after: Position, through: Position) -> RawRows:
        """Return the events with after < position <= through, not decoded."""
        with said_as_unavailable("be read"):
            found = self._blocks("WHERE last > ? AND first <= ? ORDER BY last", after, through)
            return _raw([block.within(after, through) for block in found])

    def end_of(self, after: Position, limit: int) -> Position:
        """Return a position behind which at most `limit` facts of each kind stand before.

        It is the last position there is, of whatever took it, where no more stand there.
        """
        with said_as_unavailable("be read"):
            end = Position(last_position(self._connection))
            item: int | None = self._connection.execute(
                "SELECT position FROM items WHERE position > ? AND position > 0 "
                "ORDER BY position LIMIT 1 OFFSET ?",
                (after, limit - 1),
            ).get
            fact = nth_fact(self._connection, after, limit)
            nth = min(self._nth_event(after, limit, end), item or end, fact or end)
            return Position(max(after, nth))

    def items_between(self, after: Position, through: Position) -> RawRows:
        """Return the items whose newest change has after < position <= through, not decoded."""
        with said_as_unavailable("be read"):
            found = list(items.between(self._connection, after, through))
        rows, positions, since, payloads = zip(*found, strict=True) if found else ((), (), (), ())
        return RawRows(
            np.array(positions, dtype=np.int64),
            np.array(rows, dtype=np.int32),
            np.array(since, dtype=np.int64),
            payloads,
        )

    def customer_facts(self, after: Position, through: Position) -> list[CustomerFact]:
        """Return what was said of customers and stands at after < position <= through."""
        with said_as_unavailable("be read"):
            return facts_between(self._connection, after, through)

    def items_behind(self, after: Position, limit: int) -> list[RegisteredItem]:
        """Return at most `limit` items that changed behind a position, by ascending position."""
        with said_as_unavailable("be read"):
            return items.behind(self._connection, after, limit)

    def items_described(self, after_row: int, limit: int) -> list[RegisteredItem]:
        """Return at most `limit` described items with rows above `after_row`, in order."""
        with said_as_unavailable("be read"):
            return items.described(self._connection, after_row, limit)

    def items_named(self, item_ids: Iterable[str]) -> list[RegisteredItem]:
        """Return those of these items that are described."""
        with said_as_unavailable("be read"):
            return items.named(self._connection, item_ids)

    def last_position(self) -> Position:
        """Return the highest position ever given, 0 for a new log."""
        with said_as_unavailable("be read"):
            return Position(last_position(self._connection))

    def vocabulary(self, after_row: int) -> list[tuple[int, str]]:
        """Return (row, item_id) of every item with a row above `after_row`, in order."""
        with said_as_unavailable("be read"):
            found: Rows = self._connection.execute(
                "SELECT row, item_id FROM items WHERE row > ? ORDER BY row", (after_row,)
            )
            return [(row, item_id) for row, item_id in found]

    def marks(self) -> Mapping[str, Position]:
        """Return how far each reader of the log has come, by its name."""
        with said_as_unavailable("be read"):
            found: Rows = self._connection.execute("SELECT name, position FROM marks")
            return {name: Position(position) for name, position in found}

    @property
    def drained_through(self) -> Position:
        """Highest position that is in the lake for certain."""
        return self.marks().get(DRAINED_THROUGH, Position(0))

    @property
    def trimmed_through(self) -> Position:
        """Highest position up to which events have left the log; the lake has them."""
        return self.marks().get(_TRIMMED_EVENTS, Position(0))

    def set_mark(self, name: str, position: Position) -> None:
        """Note durably how far a reader has come; a mark never goes back."""
        with said_as_unavailable("be marked"):
            self._connection.execute(
                "INSERT INTO marks(name, position) VALUES(?, ?) ON CONFLICT(name) "
                "DO UPDATE SET position = max(position, excluded.position)",
                (name, position),
            )

    def trim(self, through: Position) -> int:
        """Delete the events up to a position, and return how many they were.

        A block that ends behind it stays whole.
        """
        with said_as_unavailable("be trimmed"):
            trimmed = self._trim_events(through)
            if trimmed:
                self._shrink()
        return trimmed

    def sweep(self, today: int) -> int:
        """Forget event ids after 7 days and rejected events after 30; return how many ids went.

        today: days since 1970.
        """
        with said_as_unavailable("be swept"):
            quarantine.sweep(self._connection, (today - DAYS_IN_QUARANTINE) * MICROSECONDS_A_DAY)
            swept: Rows = self._connection.execute(
                "DELETE FROM digests WHERE day < ? RETURNING length(digests)",
                (today - DAYS_REMEMBERED,),
            )
            return sum(length // DIGEST_BYTES for (length,) in swept)

    def quarantined(self, limit: int, *, before: int = 0) -> list[Rejected]:
        """Return at most `limit` rejected events, newest first; those below a number, if given."""
        with said_as_unavailable("be read"):
            return quarantine.listed(self._connection, limit, before)

    def quarantined_after(self, after: int, limit: int) -> list[Rejected]:
        """Return at most `limit` rejected events with a number above `after`, oldest first."""
        with said_as_unavailable("be read"):
            return quarantine.listed_after(self._connection, limit, after)

    def n_quarantined(self) -> int:
        """Return how many rejected events are kept."""
        with said_as_unavailable("be read"):
            return int(self._connection.execute("SELECT count(*) FROM quarantine").get)

    def quarantine_counts(self) -> Mapping[tuple[str, str], int]:
        """Return how many rejected events are kept, by their field and reason."""
        with said_as_unavailable("be read"):
            return quarantine.counts(self._connection)

    def quarantine_received(self, numbers: Sequence[int]) -> Mapping[int, datetime]:
        """Return when the rejected events of these numbers came, as far as they are kept."""
        with said_as_unavailable("be read"):
            return quarantine.received(self._connection, numbers)

    def resolve(self, numbers: Sequence[int]) -> int:
        """Take the rejected events of these numbers out; return how many there were."""
        with said_as_unavailable("let rejected events go"):
            return quarantine.resolve(self._connection, numbers)

    def resolve_all(self) -> int:
        """Take all rejected events out; return how many there were."""
        with said_as_unavailable("let rejected events go"):
            return quarantine.resolve_all(self._connection)

    def _blocks(self, condition: str, *values: int | str) -> Iterator[Block]:
        rows: Rows = self._connection.execute(_BLOCK + condition, values)
        return (Block(*row) for row in rows)

    def _nth_event(self, after: Position, limit: int, end: Position) -> Position:
        """Return the position of the `limit`-th event behind `after`, `end` where there is none."""
        left = limit
        blocks: Rows = self._connection.execute(
            "SELECT first, last FROM blocks WHERE last > ? AND last <= ? ORDER BY last",
            (after, end),
        )
        for first, last in blocks:
            left -= last - max(after, first - 1)
            if left <= 0:
                return Position(last + left)
        return end

    def _trim_events(self, through: Position) -> int:
        """Delete events in steps, so that no append waits long, starting where the last ended."""
        start, trimmed = self.trimmed_through, 0
        while (stop := self._last_end(start, through)) > start:
            with self._connection:  # the mark moves with what it speaks of
                trimmed += self._delete(start, stop)
                self.set_mark(_TRIMMED_EVENTS, stop)
            start = stop
        return trimmed

    def _last_end(self, after: Position, through: Position) -> Position:
        """Return where the last block ends that ends up to `through`, or a step's worth before."""
        stop = min(self.end_of(after, _TRIM_STEP), through)
        found: int | None = self._connection.execute(
            "SELECT max(last) FROM blocks WHERE last > ? AND last <= ?", (after, stop)
        ).get
        return Position(found or after)

    def _delete(self, after: Position, through: Position) -> int:
        """Delete the blocks that end in (after, through]; return how many events they held."""
        deleted: Rows = self._connection.execute(
            "DELETE FROM blocks WHERE last > ? AND last <= ? RETURNING last - first",
            (after, through),
        )
        return sum(size + 1 for (size,) in deleted)

    def _shrink(self) -> None:
        """Give the freed pages back to the disk; a busy log keeps them until next time."""
        try:
            self._connection.execute("PRAGMA incremental_vacuum").fetchall()
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except apsw.BusyError:
            return


def _raw(blocks: Sequence[Block]) -> RawRows:
    """Return the rows of blocks; arrays begin with an empty one: there may be none."""
    spans = [np.arange(block.first, block.last + 1, dtype=np.int64) for block in blocks]
    received = np.array([block.received for block in blocks], dtype=np.int64)
    return RawRows(
        np.concatenate([np.empty(0, np.int64), *spans]),
        np.concatenate([np.empty(0, np.int32), *(block.rows() for block in blocks)]),
        np.repeat(received, [len(block) for block in blocks]),
        [block.payload for block in blocks],
    )
