"""What names a customer leaves the log's file: records, rejected events, and the registers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import apsw

from recsys.customers import Identifier
from recsys.errors import Unavailable
from recsys.events import Position
from serving.erasure.gate import Erased
from serving.log.blocks import Block
from serving.log.customer_reads import profiles_of
from serving.log.customer_register import CustomerProfile
from serving.log.customers import identifier_of
from serving.log.database import connect, last_position, said_as_unavailable
from serving.log.records import NEWLINE
from serving.log.tail import Rows

ERASED_THROUGH = "erased_through"
"""Mark of the log: the number of the newest erasure whose customers are not in the file."""

_BLOCKS_A_STEP = 50
_REJECTED_A_STEP = 200
_LARGEST_COPIED = 64 << 20
_LONGEST_WAIT_S = 60.0
_PAUSE_S = 0.05
_CHECKPOINT = "PRAGMA wal_checkpoint(TRUNCATE)"
_BLOCK = "SELECT last, first, received, item_rows, payload FROM blocks "
_REGISTERS = {
    "links": ("identifier", "other"),
    "consents": ("identifier",),
    "attributes": ("identifier",),
}


class Mentions(Protocol):
    """Tells which erasure names somebody that a text mentions, -1 for none."""

    def __call__(self, text: str) -> int:
        """Return its place."""
        ...


class LogErasing:
    """Takes customers out of one log, for one thread. Every method raises Unavailable.

    Each step is one short commit, so no append waits long; all may be run again.
    """

    def __init__(self, path: Path) -> None:
        with said_as_unavailable("open"):
            self._connection = connect(path)

    def close(self) -> None:
        """Let the file go."""
        self._connection.close(True)

    def done(self) -> int:
        """Return the number of the newest erasure that this file has seen, 0 for none."""
        with said_as_unavailable("be read"):
            found: int | None = self._connection.execute(
                "SELECT position FROM marks WHERE name = ?", (ERASED_THROUGH,)
            ).get
            return found or 0

    def note(self, number: int) -> None:
        """Note that an erasure, and all before it, are through."""
        with said_as_unavailable("be marked"):
            self._connection.execute(
                "INSERT INTO marks(name, position) VALUES(?, ?) ON CONFLICT(name) "
                "DO UPDATE SET position = max(position, excluded.position)",
                (ERASED_THROUGH, number),
            )

    def records(self, erased: Erased, removed: Counter[int]) -> Iterator[None]:
        """Take events out of the blocks; the positions of all others stay. Yield after a step.

        removed: gets the number of events, by place of the erasure.
        """
        after, through = 0, self._settled()
        while True:
            with said_as_unavailable("be erased from"), self._connection:
                rows: Rows = self._connection.execute(
                    _BLOCK + "WHERE last > ? AND first <= ? ORDER BY last LIMIT ?",
                    (after, through, _BLOCKS_A_STEP),
                )
                blocks = [Block(*row) for row in rows]
                for block in blocks:
                    self._erase_from(block, erased, removed)
            if not blocks:
                return
            after = blocks[-1].last
            yield

    def rejected(self, mentions: Mentions, removed: Counter[int]) -> Iterator[None]:
        """Take out rejected events that mention somebody. Yield after each step."""
        after, through = 0, self._last_rejected()
        while True:
            with said_as_unavailable("be erased from"), self._connection:
                rows = list(
                    self._connection.execute(
                        "SELECT number, payload, message FROM quarantine "
                        "WHERE number > ? AND number <= ? ORDER BY number LIMIT ?",
                        (after, through, _REJECTED_A_STEP),
                    )
                )
                for number, payload, message in rows:
                    place = max(mentions(payload), mentions(message))
                    if place >= 0:
                        removed[place] += 1
                        self._connection.execute(
                            "DELETE FROM quarantine WHERE number = ?", (number,)
                        )
            if not rows:
                return
            after = rows[-1][0]
            yield

    def registers(self, erased: Erased, removed: Counter[int]) -> None:
        """Take out links, consents and attributes that were there when an erasure was asked for."""
        with said_as_unavailable("be erased from"), self._connection:
            self._forget(erased, removed)

    def neighbours(self, erased: Erased) -> list[CustomerProfile]:
        """Return the profiles that others, who are linked with somebody gone, have without them.

        Of a version that takes the place of what they had, and of nothing newer.
        """
        with said_as_unavailable("be read"):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                linked = list(self._linked(erased))
                self._forget(erased, Counter())
                found = profiles_of(self._connection, linked)
            finally:
                self._connection.execute("ROLLBACK")
        least = max((one.position for one in erased.entries), default=Position(0))
        return [replace(one, version=max(one.version, least)) for one in found]

    def settle(self) -> bool:
        """Write over what was deleted, in the file and in what is to be written to it.

        Returns False where the file is too large to be copied: pages that were rebuilt may hold
        what was deleted until they are used again.
        """
        size: int = self._connection.execute(
            "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
        ).get
        with said_as_unavailable("be settled"):
            if size <= _LARGEST_COPIED:
                self._patiently("VACUUM")
            else:
                self._patiently("PRAGMA incremental_vacuum")
            self._patiently(_CHECKPOINT)
        return size <= _LARGEST_COPIED

    def _last_rejected(self) -> int:
        with said_as_unavailable("be read"):
            found: int | None = self._connection.execute("SELECT max(number) FROM quarantine").get
            return found or 0

    def _settled(self) -> Position:
        """Return the last position once every commit is through that has not asked the gate.

        A commit that begins later finds the ledger as it is now.
        """
        with said_as_unavailable("be read"):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                return Position(last_position(self._connection))
            finally:
                self._connection.execute("ROLLBACK")

    def _erase_from(self, block: Block, erased: Erased, removed: Counter[int]) -> None:
        """Write a block without who is gone; in pieces, where events are missing inside it."""
        lines = block.payload.split(NEWLINE)
        found = [
            erased.cleaned(line, position) for position, line in enumerate(lines, start=block.first)
        ]
        places = [place for _, place in found if place >= 0]
        if not places:
            return
        removed.update(places)
        self._connection.execute("DELETE FROM blocks WHERE last = ?", (block.last,))
        for piece in _pieces(block, [line for line, _ in found]):
            self._connection.execute(
                "INSERT INTO blocks(last, first, received, item_rows, payload) "
                "VALUES(?, ?, ?, ?, ?)",
                (piece.last, piece.first, piece.received, piece.item_rows, piece.payload),
            )

    def _forget(self, erased: Erased, removed: Counter[int]) -> None:
        for table, columns in _REGISTERS.items():
            for column in columns:
                names = self._connection.execute(f"SELECT DISTINCT {column} FROM {table}")  # noqa: S608 - our own words
                places = [(name, _place(name, erased)) for (name,) in names]
                for name, place in places:
                    if place >= 0:
                        self._connection.execute(
                            f"DELETE FROM {table} WHERE {column} = ? AND position <= ?",  # noqa: S608 - our own words
                            (name, erased.entries[place].position),
                        )
                        removed[place] += self._connection.changes()

    def _linked(self, erased: Erased) -> Iterator[Identifier]:
        """Yield those who are linked with somebody gone, and stay themselves."""
        found = self._connection.execute("SELECT identifier, other FROM links WHERE linked")
        for one, other in found:
            if _place(other, erased) >= 0 and _place(one, erased) < 0:
                yield identifier_of(one)

    def _patiently(self, sql: str) -> None:
        """Run what others can hold up, until it went through."""
        deadline = time.monotonic() + _LONGEST_WAIT_S
        while not self._went_through(sql):
            if time.monotonic() > deadline:
                raise Unavailable(
                    "the event log is in use all the time, so what was erased is still in its "
                    "files; it is tried again",
                    reason="LOG_BUSY",
                )
            time.sleep(_PAUSE_S)

    def _went_through(self, sql: str) -> bool:
        """Return whether nobody was in the way; a checkpoint says so in its first number."""
        try:
            answer = self._connection.execute(sql).fetchall()
        except apsw.BusyError:
            return False
        return sql != _CHECKPOINT or not answer[0][0]


def _pieces(block: Block, lines: Sequence[bytes | None]) -> Iterator[Block]:
    """Yield the runs of lines that stay, at their positions."""
    rows, start = block.rows(), 0
    for stop in range(len(lines) + 1):
        if stop < len(lines) and lines[stop] is not None:
            continue
        if stop > start:
            payload = NEWLINE.join(line for line in lines[start:stop] if line is not None)
            yield Block(
                block.first + stop - 1,
                block.first + start,
                block.received,
                rows[start:stop].tobytes(),
                payload,
            )
        start = stop + 1


def _place(name: str, erased: Erased) -> int:
    identifier = identifier_of(name)
    return erased.place(identifier.kind, identifier.value)
