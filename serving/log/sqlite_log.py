"""The log in one SQLite file: appends that wait at the same moment share one commit."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

from recsys.customers import CustomerChange, Identifier
from recsys.errors import Unavailable
from recsys.events import Position, Record
from recsys.items import ItemChange
from serving.clock import Clock
from serving.log.customer_reads import CustomerReader
from serving.log.customer_register import (
    CustomerProfile,
    CustomersChanged,
    RegisteredCustomer,
)
from serving.log.event_log import Appended, Placed, Rejected
from serving.log.items import ItemsChanged, RegisteredItem
from serving.log.records import Lines, instant
from serving.log.rule_reads import RuleReader
from serving.log.rules import RuleChange, RulesChanged, RuleVersion, Signature
from serving.log.tail import LogTail
from serving.log.writer import Gate, Writer

T = TypeVar("T")

MOST_LINES_A_COMMIT = 20_000
MOST_WAITING_LINES = 200_000


@dataclass(frozen=True, slots=True)
class _Change:
    """Changes of a register that wait for a commit of their own.

    make: makes them with the writer, and returns what became of them.
    """

    make: Callable[[Writer], Any]
    made: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class _Waiting:
    """One append that waits for its commit."""

    lines: Lines
    rejected: Sequence[Rejected]
    placed: asyncio.Future[Placed]

    def __len__(self) -> int:
        return len(self.lines) + len(self.rejected)


_Work = _Waiting | _Change | None
"""What the writer thread is given; None: the log closes."""


class SqliteLog:
    """An `EventLog` and its registers, which several processes may share.

    Each has one writer thread and one reader.

    It belongs to the event loop that first appends to it.
    n_busy: lines refused so far because too many waited.
    """

    def __init__(self, path: Path, *, clock: Clock, gate: Gate | None = None) -> None:
        self.n_busy = 0
        self._tail = LogTail(path)
        self._customers = CustomerReader(path)
        self._rules = RuleReader(path)
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="log-reader")
        self._queue: queue.SimpleQueue[_Work] = queue.SimpleQueue()
        self._n_waiting = 0
        self._closed = False
        self._writer = Writer(path, clock=clock, gate=gate)
        self._thread = Thread(target=self._write_until_closed, name="log-writer", daemon=True)
        self._thread.start()

    @property
    def n_waiting(self) -> int:
        """How many lines wait for their commit."""
        return self._n_waiting

    async def append(
        self, records: Sequence[Record], rejected: Sequence[Rejected] = ()
    ) -> Appended:
        """Store the records and return them with positions; they are durable on return.

        An append that is cancelled may still be committed; sent again, it is a duplicate.
        Raises Unavailable, with nothing stored, when the log cannot commit.
        """
        placed = await self.append_lines(Lines.of(records), rejected)
        received = instant(placed.received)
        return Appended(
            tuple(
                Record(record.fact, position, item_row, received) if position else None
                for record, position, item_row in zip(
                    records, placed.positions, placed.item_rows, strict=True
                )
            ),
            placed.last_position,
        )

    async def append_lines(self, lines: Lines, rejected: Sequence[Rejected] = ()) -> Placed:
        """Store encoded lines, and what was rejected; return where they went, durable on return."""
        if self._closed:
            raise _closed()
        waiting = _Waiting(lines, rejected, asyncio.get_running_loop().create_future())
        if self._n_waiting + len(waiting) > MOST_WAITING_LINES:
            self.n_busy += len(waiting)
            raise _busy()
        self._n_waiting += len(waiting)
        self._queue.put(waiting)
        return await waiting.placed

    async def change_items(self, changes: Sequence[ItemChange]) -> ItemsChanged:
        """Make changes of items, in their order; see `ItemRegister`."""
        return await self._change(lambda writer: writer.change_items(changes))

    async def items_named(self, item_ids: Sequence[str]) -> Sequence[RegisteredItem]:
        """Return those of these items that are described, in the order of the ids."""
        return await self._in_reader(lambda: self._tail.items_named(item_ids))

    async def items_described(self, after_row: int, limit: int) -> Sequence[RegisteredItem]:
        """Return at most `limit` described items with rows above `after_row`, in order."""
        return await self._in_reader(lambda: self._tail.items_described(after_row, limit))

    async def items_behind(self, after: Position, limit: int) -> Sequence[RegisteredItem]:
        """Return at most `limit` items that changed behind a position, by ascending position."""
        return await self._in_reader(lambda: self._tail.items_behind(after, limit))

    async def change_customers(self, changes: Sequence[CustomerChange]) -> CustomersChanged:
        """Make the changes of customers that may be made, in their order."""
        return await self._change(lambda writer: writer.change_customers(changes))

    async def change_rules(self, changes: Sequence[RuleChange], by: Signature) -> RulesChanged:
        """Make changes of rules, all or none; see `RuleRegister`."""
        return await self._change(lambda writer: writer.change_rules(changes, by))

    async def rules_now(self) -> Sequence[RuleVersion]:
        """Return the newest version of every rule that is there, by name."""
        return await self._in_reader(self._rules.rules_now)

    async def rule_history(self, name: str) -> Sequence[RuleVersion]:
        """Return every version of a rule, the newest first."""
        return await self._in_reader(lambda: self._rules.rule_history(name))

    async def profiles_of(self, identifiers: Sequence[Identifier]) -> Sequence[CustomerProfile]:
        """Return the profiles of the customers with these identifiers, each once."""
        return await self._in_reader(lambda: self._customers.profiles_of(identifiers))

    async def customer_of(self, identifier: Identifier) -> RegisteredCustomer:
        """Return the customer with an identifier, of whom perhaps nothing else is known."""
        return await self._in_reader(lambda: self._customers.customer_of(identifier))

    async def item_names(self, rows: Sequence[int]) -> Mapping[int, tuple[str, str]]:
        """Return item id and title, perhaps empty, of each row that is some item's."""
        return await self._in_reader(lambda: self._customers.item_names(rows))

    async def read(self, after: Position, limit: int) -> Sequence[Record]:
        """Return at most `limit` records behind position `after`, in order."""
        return await self._in_reader(lambda: self._tail.records(after, limit))

    async def last_position(self) -> Position:
        """Return the highest position ever given, 0 for a new log."""
        return await self._in_reader(self._tail.last_position)

    async def vocabulary(self, after_row: int) -> Sequence[tuple[int, str]]:
        """Return (row, item_id) of every item with a row above `after_row`, in order."""
        return await self._in_reader(lambda: self._tail.vocabulary(after_row))

    async def quarantined(self, limit: int, *, before: int = 0) -> Sequence[Rejected]:
        """Return at most `limit` rejected events, newest first; see `EventLog`."""
        return await self._in_reader(lambda: self._tail.quarantined(limit, before=before))

    async def resolve(self, numbers: Sequence[int]) -> int:
        """Take the rejected events of these numbers out; return how many there were."""
        return await self._in_reader(lambda: self._tail.resolve(numbers))

    async def close(self) -> None:
        """Commit what waits, then let the file go."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        await self._in_reader(self._tail.close)
        await self._in_reader(self._customers.close)
        await self._in_reader(self._rules.close)
        self._reader.shutdown()

    async def _change(self, make: Callable[[Writer], T]) -> T:
        if self._closed:
            raise _closed()
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put(_Change(make, future))
        return await future

    async def _in_reader(self, read: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._reader, read)

    def _write_until_closed(self) -> None:
        """Commit what waits until None arrives; the writer thread's whole work."""
        with suppress(Unavailable):  # said to whoever appends, should it last
            self._writer.open()
        next_one: list[_Work] = []
        while (first := next_one.pop() if next_one else self._queue.get()) is not None:
            if isinstance(first, _Change):
                outcome = _outcome(partial(first.make, self._writer))
                _tell(first.made, partial(_settle, first.made, outcome))
                continue
            group, next_one = _grouped(first, self._queue)
            placed = _outcome(partial(_append, group, self._writer))
            _tell(first.placed, partial(self._answer, group, placed))
            _outcome(self._writer.remember)  # while the callers wake up
        self._writer.close()

    def _answer(self, group: Sequence[_Waiting], outcome: Placed | Exception) -> None:
        """Tell each caller of a group what became of it; one wake-up of the loop for all."""
        end = 0
        for each in group:
            self._n_waiting -= len(each)
            start, end = end, end + len(each.lines)
            part = outcome if isinstance(outcome, Exception) else outcome.part(start, end)
            _settle(each.placed, part)


def _grouped(
    first: _Waiting, waiting: queue.SimpleQueue[_Work]
) -> tuple[list[_Waiting], list[_Work]]:
    """Return the appends that wait now, the first among them, and what stopped the search."""
    group, n_lines = [first], len(first)
    with suppress(queue.Empty):
        while n_lines < MOST_LINES_A_COMMIT:
            one = waiting.get_nowait()
            if not isinstance(one, _Waiting):
                return group, [one]
            group.append(one)
            n_lines += len(one)
    return group, []


def _append(group: Sequence[_Waiting], writer: Writer) -> Placed:
    """Store the group in one transaction, and return where it went."""
    rejected = list(chain.from_iterable(each.rejected for each in group))
    return writer.append(Lines.joined([each.lines for each in group]), rejected)


def _outcome(work: Callable[[], T]) -> T | Exception:
    """Return what came of it; an exception is one, too."""
    try:
        return work()
    except Exception as error:  # the thread must live on, and every caller must hear of it
        return error


def _tell(future: asyncio.Future[Any], what: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # a loop that is closed has nobody waiting
        future.get_loop().call_soon_threadsafe(what)


def _settle(future: asyncio.Future[T], outcome: T | Exception) -> None:
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


def _closed() -> Unavailable:
    return Unavailable("the event log is closed", reason="LOG_CLOSED")


def _busy() -> Unavailable:
    return Unavailable(
        f"the event log is busy: {MOST_WAITING_LINES:,} events wait for the disk. Send these "
        "again in a moment",
        reason="LOG_BUSY",
    )
