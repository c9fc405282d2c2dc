"""The writing side of the log: one transaction gives positions and item rows, and drops repeats."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import apsw

from recsys.errors import Unavailable
from recsys.events import Position, RecordKind
from recsys.state import NO_ROW
from serving.log import quarantine
from serving.log.blocks import Block, blocks_of
from serving.log.database import connect, last_position, unavailable
from serving.log.event_log import Rejected
from serving.log.records import MICROSECONDS_A_DAY, Lines, microseconds
from serving.log.seen import DAYS_REMEMBERED, Seen

_MOST_CACHED_ITEMS = 500_000
_NO_ITEM = {"": -1}


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
        rows = self.item_rows[start:stop]
        return Placed(self.positions[start:stop], rows, self.last_position, self.received)


class Writer:
    """Appends lines to the log at a path; for one thread at a time.

    A failed transaction leaves nothing behind, and its connection is never used again: after a
    failed fsync what it believes and what the disk holds differ. Ids are remembered only once they
    are committed, so they are kept.

    Whoever opens the log to write checkpoints it first. After a failed fsync the system's cache
    may show frames of the write-ahead log that the disk does not have, and if all processes ended
    meanwhile SQLite takes them for committed; a commit appended behind them would be lost with
    them in a power cut. The checkpoint writes them into the database, syncs that, and empties
    the write-ahead log. Where it finds the log in use, others hold the index of its frames that
    leaves the failed ones out, and the next commit overwrites those.
    """

    def __init__(self, path: Path, *, clock: Callable[[], datetime]) -> None:
        self._path = path
        self._clock = clock
        self._connection: apsw.Connection | None = None
        self._rows = dict(_NO_ITEM)
        self._seen = Seen()

    def append(self, lines: Lines, rejected: Sequence[Rejected] = ()) -> Placed:
        """Store the lines, and aside what was rejected, in one commit; durable on return.

        Raises Unavailable, with nothing stored.
        """
        try:
            return self._committed(lines, rejected)
        except (apsw.Error, OSError) as error:
            self.close()
            raise unavailable("commit", error) from error
        except BaseException:
            self.close()
            raise

    def open(self) -> None:
        """Open the log and read the ids it holds, before anybody waits for that.

        Raises Unavailable; the next append tries again.
        """
        try:
            self._opened(microseconds(self._clock()) // MICROSECONDS_A_DAY)
        except (apsw.Error, OSError) as error:
            self.close()
            raise unavailable("open", error) from error

    def close(self) -> None:
        """Let the file go."""
        if self._connection is not None:
            with suppress(apsw.Error):
                self._connection.close(True)
        self._connection = None
        self._rows = dict(_NO_ITEM)

    def _committed(self, lines: Lines, rejected: Sequence[Rejected]) -> Placed:
        received = microseconds(self._clock())
        day = received // MICROSECONDS_A_DAY
        connection = self._opened(day)
        connection.execute("BEGIN IMMEDIATE")
        self._seen.catch_up(connection)
        news = _news(lines, self._seen)
        kept = lines if news is None else lines.chosen(news)
        rows = self._item_rows(connection, kept.item_ids)
        before = last_position(connection)
        _insert(connection, blocks_of(kept, rows, first=before + 1, received=received))
        last = before + len(rows)
        if kept.digests:
            _insert_digests(connection, last, day, kept.digests)
        if rejected:
            quarantine.keep(connection, rejected)
        connection.execute("COMMIT")
        self._seen.add(kept.digests, day=day, last=last)
        return _placed(news, rows, before, received)

    def _opened(self, day: int) -> apsw.Connection:
        """Return the connection; event ids are read before anybody has to wait for it."""
        self._seen.forget(day - DAYS_REMEMBERED)
        if self._connection is None:
            self._connection = connect(self._path)
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._seen.catch_up(self._connection)
        return self._connection

    def _item_rows(self, connection: apsw.Connection, item_ids: Sequence[str]) -> list[int]:
        """Return the row of each item, giving the next free ones to items never seen.

        Rows are never changed or deleted, so those once read may be remembered.
        """
        if len(self._rows) > _MOST_CACHED_ITEMS:
            self._rows = dict(_NO_ITEM)
        known = self._rows
        try:
            return list(map(known.__getitem__, item_ids))
        except KeyError:
            missing = [one for one in dict.fromkeys(item_ids) if one not in known]
        _number(connection, missing, known)
        return [known[item_id] for item_id in item_ids]


def _news(lines: Lines, seen: Seen) -> list[bool] | None:
    """Return which lines are no repeats; None when none is, as nearly always."""
    known = seen.known(lines.digests)
    if not known.any():
        return None
    repeats = iter(known.tolist())
    return [kind != RecordKind.EVENT or not next(repeats) for kind in lines.kinds]


def _number(connection: apsw.Connection, item_ids: Sequence[str], rows: dict[str, int]) -> None:
    """Add the row of each item to `rows`, giving new ones to items that have none."""
    found: Iterable[tuple[Any, ...]] = connection.executemany(
        "SELECT item_id, row FROM items WHERE item_id = ?", [(item_id,) for item_id in item_ids]
    )
    rows.update((item_id, row) for item_id, row in found)
    unseen = [item_id for item_id in item_ids if item_id not in rows]
    first: int = connection.execute("SELECT coalesce(max(row), -1) + 1 FROM items").get
    if first + len(unseen) > NO_ROW:
        raise Unavailable(
            f"the log has numbers for {NO_ROW:,} items and all are given: start an installation "
            "anew with the items that are still sold",
            reason="TOO_MANY_ITEMS",
        )
    numbered = list(enumerate(unseen, start=first))
    connection.executemany("INSERT INTO items(row, item_id) VALUES(?, ?)", numbered)
    rows.update((item_id, row) for row, item_id in numbered)


def _insert(connection: apsw.Connection, blocks: Iterable[Block]) -> None:
    for block in blocks:
        connection.execute(
            "INSERT INTO blocks(last, first, kind, received, item_rows, payload) "
            "VALUES(?, ?, ?, ?, ?, ?)",
            (block.last, block.first, block.kind, block.received, block.item_rows, block.payload),
        )


def _insert_digests(connection: apsw.Connection, last: int, day: int, digests: bytes) -> None:
    connection.execute("INSERT INTO digests VALUES(?, ?, ?)", (last, day, digests))


def _placed(news: list[bool] | None, rows: list[int], before: int, received: int) -> Placed:
    """Return where the lines went, from the rows of the new ones."""
    last = Position(before + len(rows))
    if news is None:
        return Placed(range(before + 1, last + 1), rows, last, received)
    numbers, numbered = count(before + 1), iter(rows)
    return Placed(
        [next(numbers) if new else 0 for new in news],
        [next(numbered) if new else -1 for new in news],
        last,
        received,
    )
