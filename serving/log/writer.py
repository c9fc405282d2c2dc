"""The writing side of the log: one transaction gives positions and item rows, and drops repeats."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Protocol, TypeVar

import apsw

from recsys.customers import CustomerChange
from recsys.events import Position
from recsys.items import ItemChange
from serving.log import customers, items, quarantine, rules
from serving.log.blocks import Block, blocks_of
from serving.log.customer_register import CustomersChanged
from serving.log.database import connect, last_position, take_positions, unavailable
from serving.log.event_log import Placed, Rejected
from serving.log.item_rows import ItemRows
from serving.log.items import ItemsChanged
from serving.log.records import MICROSECONDS_A_DAY, Lines, microseconds
from serving.log.rules import RuleChange, RulesChanged, Signature
from serving.log.seen import DAYS_REMEMBERED, Seen

T = TypeVar("T")


class Gate(Protocol):
    """Whatever keeps out what is of before a customer was erased."""

    def lines(self, lines: Lines) -> tuple[Lines, list[bool] | None]:
        """Return the lines without who is gone, and which may be stored; None for all of them."""
        ...

    def outdated(self, changes: Sequence[CustomerChange]) -> list[bool]:
        """Return which changes of customers are of before they were erased."""
        ...


class Writer:
    """Appends lines to the log at a path; for one thread at a time.

    gate: what stops events and statements of erased customers; they count as known.

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

    def __init__(
        self, path: Path, *, clock: Callable[[], datetime], gate: Gate | None = None
    ) -> None:
        self._path = path
        self._gate = gate
        self._clock = clock
        self._connection: apsw.Connection | None = None
        self._rows = ItemRows()
        self._seen = Seen()

    def append(self, lines: Lines, rejected: Sequence[Rejected] = ()) -> Placed:
        """Store the lines, and aside what was rejected, in one commit; durable on return.

        Raises Unavailable, with nothing stored.
        """
        return self._safely(lambda: self._appended(lines, rejected))

    def change_items(self, changes: Sequence[ItemChange]) -> ItemsChanged:
        """Make changes of items, in their order, in one commit; durable on return.

        Raises Unavailable, with nothing stored.
        """
        return self._safely(lambda: self._changed(changes))

    def put_items(
        self, item_ids: Sequence[str], payloads: Sequence[bytes], market: str = ""
    ) -> ItemsChanged:
        """Describe items, given as JSON (`serving.log.items.encode_item`), as `change_items` does.

        market: whose offer is all that the descriptions know; those of other markets are kept.
        Raises Unavailable, with nothing stored.
        """
        return self._safely(lambda: self._put(item_ids, payloads, market))

    def change_customers(self, changes: Sequence[CustomerChange]) -> CustomersChanged:
        """Make the changes of customers that may be made, in one commit; durable on return.

        Raises Unavailable, with nothing stored.
        """
        return self._safely(lambda: self._customers_changed(changes))

    def change_rules(self, changes: Sequence[RuleChange], by: Signature) -> RulesChanged:
        """Make changes of rules, all or none, in one commit; durable on return.

        Raises Unavailable, with nothing stored.
        """
        return self._safely(lambda: self._rules_changed(changes, by))

    def open(self) -> None:
        """Open the log and read the ids it holds, before anybody waits for that.

        Raises Unavailable; the next append tries again.
        """
        try:
            self._opened(microseconds(self._clock()) // MICROSECONDS_A_DAY)
        except (apsw.Error, OSError) as error:
            self.close()
            raise unavailable("open", error) from error

    def remember(self) -> None:
        """Remember the ids of the last append, which the next one would else do first."""
        self._seen.take_in()

    def close(self) -> None:
        """Let the file go."""
        if self._connection is not None:
            with suppress(apsw.Error):
                self._connection.close(True)
        self._connection = None
        self._rows = ItemRows()

    def _safely(self, commit: Callable[[], T]) -> T:
        """Return what a commit returns; after an error the connection is never used again."""
        try:
            return commit()
        except (apsw.Error, OSError) as error:
            self.close()
            raise unavailable("commit", error) from error
        except BaseException:
            self.close()
            raise

    def _appended(self, lines: Lines, rejected: Sequence[Rejected]) -> Placed:
        received = microseconds(self._clock())
        day = received // MICROSECONDS_A_DAY
        connection = self._opened(day)
        connection.execute("BEGIN IMMEDIATE")
        self._seen.catch_up(connection)
        lines, news = self._let_in(lines, _news(lines, self._seen))
        kept = lines if news is None else lines.chosen(news)
        rows = self._rows.of(connection, kept.item_ids)
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

    def _let_in(self, lines: Lines, news: list[bool] | None) -> tuple[Lines, list[bool] | None]:
        """Return the lines as they may be stored, and which may; to be asked in the transaction."""
        if self._gate is None:
            return lines, news
        lines, may = self._gate.lines(lines)
        if may is None or news is None:
            return lines, news if may is None else may
        return lines, [new and one for new, one in zip(news, may, strict=True)]

    def _changed(self, changes: Sequence[ItemChange]) -> ItemsChanged:
        connection = self._begun()
        found = items.outcome(connection, changes)
        payloads: dict[str, bytes | None] = {
            item_id: None if item is None else items.encode_item(item)
            for item_id, item in found.items.items()
        }
        last = self._stored(connection, payloads)
        connection.execute("COMMIT")
        changed, lost = len(payloads), len(found.missing)
        missing = tuple(dict.fromkeys(found.missing))
        return ItemsChanged(changed, len(changes) - changed - lost, lost, missing, last)

    def _put(self, item_ids: Sequence[str], payloads: Sequence[bytes], market: str) -> ItemsChanged:
        connection = self._begun()
        newest = dict(zip(item_ids, payloads, strict=True))
        rows = self._rows.of(connection, list(newest))
        held = items.payloads_of(connection, rows)
        differing: dict[str, bytes | None] = {}
        for row, (item_id, payload) in zip(rows, newest.items(), strict=True):
            known = held.get(row)
            wanted = items.over_other_markets(payload, known, market) if market else payload
            if wanted != known:
                differing[item_id] = wanted
        last = self._stored(connection, differing)
        connection.execute("COMMIT")
        changed = len(differing)
        return ItemsChanged(changed, len(item_ids) - changed, 0, (), last)

    def _customers_changed(self, changes: Sequence[CustomerChange]) -> CustomersChanged:
        connection = self._begun()
        before = Position(last_position(connection))
        received = microseconds(self._clock())
        outdated = self._gate.outdated(changes) if self._gate else [False] * len(changes)
        kept = [place for place, old in enumerate(outdated) if not old]
        done = customers.apply(
            connection, [changes[place] for place in kept], before=before, received=received
        )
        if done.last_position > before:
            take_positions(connection, done.last_position)
        connection.execute("COMMIT")
        return replace(
            done,
            unchanged=done.unchanged + outdated.count(True),
            refused=tuple(replace(one, index=kept[one.index]) for one in done.refused),
        )

    def _rules_changed(self, changes: Sequence[RuleChange], by: Signature) -> RulesChanged:
        connection = self._begun()
        before = Position(last_position(connection))
        received = microseconds(self._clock())
        done = rules.apply(connection, changes, by, before=before, received=received)
        if done.last_position > before:
            take_positions(connection, done.last_position)
        connection.execute("COMMIT")
        return done

    def _begun(self) -> apsw.Connection:
        connection = self._opened(microseconds(self._clock()) // MICROSECONDS_A_DAY)
        connection.execute("BEGIN IMMEDIATE")
        return connection

    def _stored(
        self, connection: apsw.Connection, payloads: Mapping[str, bytes | None]
    ) -> Position:
        """Write these items behind the last position, and return the last one then."""
        rows = self._rows.of(connection, list(payloads))
        before = Position(last_position(connection))
        numbered = zip(rows, payloads.values(), strict=True)
        last = items.store(connection, numbered, before, microseconds(self._clock()))
        take_positions(connection, last)
        return last

    def _opened(self, day: int) -> apsw.Connection:
        """Return the connection; event ids are read before anybody has to wait for it."""
        self._seen.forget(day - DAYS_REMEMBERED)
        if self._connection is None:
            self._connection = connect(self._path)
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._seen.catch_up(self._connection)
        return self._connection


def _news(lines: Lines, seen: Seen) -> list[bool] | None:
    """Return which lines are no repeats; None when none is, as nearly always."""
    known = seen.known(lines.digests)
    if not known.any():
        return None
    new: list[bool] = (~known).tolist()
    return new


def _insert(connection: apsw.Connection, blocks: Iterable[Block]) -> None:
    for block in blocks:
        connection.execute(
            "INSERT INTO blocks(last, first, received, item_rows, payload) VALUES(?, ?, ?, ?, ?)",
            (block.last, block.first, block.received, block.item_rows, block.payload),
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
