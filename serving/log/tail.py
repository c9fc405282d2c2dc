"""The log seen from behind: reading, marks, trimming. What the drain and the supervisor use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from recsys.events import Position, Record, RecordKind
from serving.log.database import connect, said_as_unavailable
from serving.log.event_log import Rejected
from serving.log.records import instant, microseconds, records_of

Rows = Iterable[tuple[Any, ...]]
"""What SQLite answers; the tables say what is in it."""

DRAINED_THROUGH = "drained_through"
_TRIMMED_EVENTS = "trimmed_events_through"
_TRIM_STEP = 50_000
_MOST_QUARANTINED = 100_000


@dataclass(frozen=True, slots=True)
class RawRows:
    """Records of one kind as the log holds them, by ascending position.

    positions, item_rows: (n,) numbers; payloads: JSON of each fact.
    """

    positions: Sequence[int]
    item_rows: Sequence[int]
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
        with said_as_unavailable("be read"):
            return records_of(
                self._connection.execute(
                    "SELECT position, kind, item_row, payload FROM records WHERE position > ? "
                    "ORDER BY position LIMIT ?",
                    (after, limit),
                )
            )

    def rows(self, kind: RecordKind, after: Position, through: Position) -> RawRows:
        """Return the records of one kind with after < position <= through, not decoded."""
        with said_as_unavailable("be read"):
            found = self._connection.execute(
                "SELECT position, item_row, payload FROM records "
                "WHERE position > ? AND position <= ? AND kind = ? ORDER BY position",
                (after, through, kind.value),
            ).fetchall()
        positions, item_rows, payloads = zip(*found, strict=True) if found else ((), (), ())
        return RawRows(positions, item_rows, payloads)

    def end_of(self, after: Position, limit: int) -> Position:
        """Return the position of the `limit`-th record behind `after`, or of the last there is."""
        with said_as_unavailable("be read"):
            found: int | None = self._connection.execute(
                "SELECT max(position) FROM (SELECT position FROM records WHERE position > ? "
                "ORDER BY position LIMIT ?)",
                (after, limit),
            ).get
        return Position(found or after)

    def last_position(self) -> Position:
        """Return the highest position ever given, 0 for a new log."""
        with said_as_unavailable("be read"):
            found: int | None = self._connection.execute(
                "SELECT max(seq) FROM sqlite_sequence WHERE name = 'records'"
            ).get
        return Position(found or 0)

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

    def trim(self, *, events_through: Position, items_through: Position) -> int:
        """Delete events and item records up to these positions; return how many went."""
        with said_as_unavailable("be trimmed"):
            trimmed = self._trim_events(events_through)
            self._connection.execute(
                "DELETE FROM records WHERE position <= ? AND kind = 'item'", (items_through,)
            )
            trimmed += self._connection.changes()
            if trimmed:
                self._shrink()
        return trimmed

    def sweep_digests(self, before_day: int) -> int:
        """Forget event ids received before this day (days since 1970); return how many."""
        with said_as_unavailable("be swept"):
            self._connection.execute("DELETE FROM digests WHERE day < ?", (before_day,))
            return self._connection.changes()

    def quarantine(self, rejected: Sequence[Rejected]) -> None:
        """Keep rejected events durably; beyond 100,000 the oldest go."""
        rows = [
            (microseconds(one.received), one.field, one.reason, one.payload) for one in rejected
        ]
        with said_as_unavailable("keep rejected events"), self._connection:
            self._connection.executemany(
                "INSERT INTO quarantine(received, field, reason, payload) VALUES(?, ?, ?, ?)", rows
            )
            self._connection.execute(
                "DELETE FROM quarantine WHERE number <= (SELECT max(number) FROM quarantine) - ?",
                (_MOST_QUARANTINED,),
            )

    def quarantined(self, limit: int) -> list[Rejected]:
        """Return the newest rejected events, newest first."""
        with said_as_unavailable("be read"):
            found: Rows = self._connection.execute(
                "SELECT payload, reason, field, received FROM quarantine "
                "ORDER BY number DESC LIMIT ?",
                (limit,),
            )
            return [Rejected(text, reason, field, instant(at)) for text, reason, field, at in found]

    def _trim_events(self, through: Position) -> int:
        """Delete events in steps, so that no append waits long, starting where the last ended."""
        start, trimmed = self.trimmed_through, 0
        while start < through:
            stop = min(self.end_of(start, _TRIM_STEP), through)
            if stop == start:
                break
            self._connection.execute(
                "DELETE FROM records WHERE position > ? AND position <= ? AND kind = 'event'",
                (start, stop),
            )
            trimmed += self._connection.changes()
            self.set_mark(_TRIMMED_EVENTS, stop)
            start = stop
        return trimmed

    def _shrink(self) -> None:
        """Give the freed pages back to the disk; a busy log keeps them until next time."""
        try:
            self._connection.execute("PRAGMA incremental_vacuum").fetchall()
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except apsw.BusyError:
            return
