"""The writing side of the log: one transaction gives positions and item rows, and drops repeats."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import compress, count
from pathlib import Path

import apsw

from recsys.events import Position
from serving.log.database import connect, unavailable
from serving.log.records import Lines

_MOST_CACHED_ITEMS = 500_000
_SECONDS_A_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Placed:
    """Where the lines of one append went, in their order.

    positions: of each line; 0 for a duplicate.
    item_rows: of each line's item; -1 for a duplicate.
    last_position: highest position of the log when they were in.
    """

    positions: Sequence[int]
    item_rows: Sequence[int]
    last_position: Position

    @property
    def n_new(self) -> int:
        """How many lines were not duplicates."""
        return len(self.positions) - self.positions.count(0)

    def part(self, start: int, stop: int) -> Placed:
        """Return the outcome of the lines in [start, stop)."""
        return Placed(self.positions[start:stop], self.item_rows[start:stop], self.last_position)


class Writer:
    """Appends lines to the log at a path; for one thread at a time.

    A failed transaction leaves nothing behind and its connection is never used again, because
    after a failed fsync what the connection believes and what the disk holds may differ.
    """

    def __init__(self, path: Path, *, clock: Callable[[], datetime]) -> None:
        self._path = path
        self._clock = clock
        self._connection: apsw.Connection | None = None
        self._rows: dict[str, int] = {}

    def append(self, lines: Lines) -> Placed:
        """Store the lines in one commit; durable on return. Raises Unavailable."""
        day = int(self._clock().timestamp()) // _SECONDS_A_DAY
        with self._transaction() as connection:
            fresh = _fresh(connection, lines.digests, day)
            return self._store(connection, lines, fresh)

    def close(self) -> None:
        """Let the file go."""
        if self._connection is not None:
            with suppress(apsw.Error):
                self._connection.close(True)
        self._connection = None
        self._rows = {}

    @contextmanager
    def _transaction(self) -> Iterator[apsw.Connection]:
        try:
            if self._connection is None:
                self._connection = connect(self._path)
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection
            self._connection.execute("COMMIT")
        except (apsw.Error, OSError) as error:
            self.close()
            raise unavailable("commit", error) from error
        except BaseException:
            self.close()
            raise

    def _store(self, connection: apsw.Connection, lines: Lines, fresh: list[bool] | None) -> Placed:
        last = _last_position(connection)
        if fresh is None:
            rows = self._item_rows(connection, lines.item_ids)
            positions = list(range(last + 1, last + 1 + len(lines)))
            _insert(connection, zip(positions, lines.kinds, rows, lines.payloads, strict=True))
            return Placed(positions, rows, Position(last + len(lines)))
        new_rows = self._item_rows(connection, list(compress(lines.item_ids, fresh)))
        kept = (compress(lines.kinds, fresh), new_rows, compress(lines.payloads, fresh))
        _insert(connection, zip(range(last + 1, last + 1 + len(new_rows)), *kept, strict=True))
        numbers, numbered = count(last + 1), iter(new_rows)
        return Placed(
            [next(numbers) if new else 0 for new in fresh],
            [next(numbered) if new else -1 for new in fresh],
            Position(last + len(new_rows)),
        )

    def _item_rows(self, connection: apsw.Connection, item_ids: Sequence[str]) -> list[int]:
        """Return the row of each item, giving the next free ones to items never seen.

        Rows are never changed or deleted, so those once read may be remembered.
        """
        if len(self._rows) > _MOST_CACHED_ITEMS:
            self._rows = {}
        known = self._rows
        missing = [item_id for item_id in dict.fromkeys(item_ids) if item_id not in known]
        if missing:
            known.update(_known_rows(connection, missing))
            unseen = [item_id for item_id in missing if item_id not in known]
            first = connection.execute("SELECT coalesce(max(row), -1) + 1 FROM items").get
            numbered = list(enumerate(unseen, start=first))
            connection.executemany("INSERT INTO items(row, item_id) VALUES(?, ?)", numbered)
            known.update((item_id, row) for row, item_id in numbered)
        return [known[item_id] for item_id in item_ids]


def _fresh(
    connection: apsw.Connection, digests: Sequence[bytes | None], day: int
) -> list[bool] | None:
    """Remember the digests and return which lines are new; None when all are.

    Most batches hold no duplicate, so all are inserted first and looked up only if one was.
    Sorted, so that neighbours of the tree are touched together.
    """
    wanted = sorted({digest for digest in digests if digest is not None})
    connection.execute("SAVEPOINT digests")
    before = connection.total_changes()
    _remember(connection, wanted, day)
    if connection.total_changes() - before == len(digests) - digests.count(None):
        connection.execute("RELEASE digests")
        return None
    connection.execute("ROLLBACK TO digests; RELEASE digests")
    known = _known_digests(connection, wanted)
    _remember(connection, [digest for digest in wanted if digest not in known], day)
    return [digest is None or _first_time(digest, known) for digest in digests]


def _first_time(digest: bytes, known: set[bytes]) -> bool:
    """Return whether the digest was not known, and make it known."""
    if digest in known:
        return False
    known.add(digest)
    return True


def _known_digests(connection: apsw.Connection, digests: Sequence[bytes]) -> set[bytes]:
    found = connection.executemany(
        "SELECT digest FROM digests WHERE digest = ?", ((digest,) for digest in digests)
    )
    return {digest for (digest,) in found}


def _remember(connection: apsw.Connection, digests: Sequence[bytes], day: int) -> None:
    connection.executemany(
        "INSERT OR IGNORE INTO digests(digest, day) VALUES(?, ?)",
        ((digest, day) for digest in digests),
    )


def _known_rows(connection: apsw.Connection, item_ids: Sequence[str]) -> dict[str, int]:
    found = connection.executemany(
        "SELECT item_id, row FROM items WHERE item_id = ?", ((item_id,) for item_id in item_ids)
    )
    return dict(found)


def _last_position(connection: apsw.Connection) -> int:
    """Return the highest position ever given; SQLite keeps it when records are deleted."""
    found: int | None = connection.execute(
        "SELECT max(seq) FROM sqlite_sequence WHERE name = 'records'"
    ).get
    return found or 0


def _insert(connection: apsw.Connection, rows: Iterator[tuple[int, str, int, bytes]]) -> None:
    connection.executemany(
        "INSERT INTO records(position, kind, item_row, payload) VALUES(?, ?, ?, ?)", rows
    )
