"""The log in one SQLite file: appends that wait at the same moment share one commit."""

from __future__ import annotations

import asyncio
import queue
from asyncio import AbstractEventLoop
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from threading import Thread
from typing import TypeVar

from recsys.errors import Unavailable
from recsys.events import Position, Record
from serving.clock import Clock
from serving.log.event_log import Appended, Rejected
from serving.log.records import Lines, instant
from serving.log.tail import LogTail
from serving.log.writer import Placed, Writer

T = TypeVar("T")

MOST_LINES_A_COMMIT = 20_000
MOST_WAITING_LINES = 200_000


@dataclass(frozen=True, slots=True)
class _Waiting:
    """One append that waits for its commit."""

    lines: Lines
    rejected: Sequence[Rejected]
    placed: asyncio.Future[Placed]

    def __len__(self) -> int:
        return len(self.lines) + len(self.rejected)


class SqliteLog:
    """An `EventLog` that several processes may share: one writer thread and one reader each.

    It belongs to the event loop that first appends to it.
    n_busy: lines refused so far because too many waited.
    """

    def __init__(self, path: Path, *, clock: Clock) -> None:
        self.n_busy = 0
        self._tail = LogTail(path)
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="log-reader")
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._n_waiting = 0
        self._closed = False
        self._writer = Writer(path, clock=clock)
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
            raise Unavailable("the event log is closed", reason="LOG_CLOSED")
        waiting = _Waiting(lines, rejected, asyncio.get_running_loop().create_future())
        if self._n_waiting + len(waiting) > MOST_WAITING_LINES:
            self.n_busy += len(waiting)
            raise _busy()
        self._n_waiting += len(waiting)
        self._queue.put(waiting)
        return await waiting.placed

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
        self._reader.shutdown()

    async def _in_reader(self, read: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._reader, read)

    def _write_until_closed(self) -> None:
        """Commit groups of waiting appends until None arrives; the writer thread's whole work."""
        with suppress(Unavailable):  # said to whoever appends, should it last
            self._writer.open()
        closing = False
        while not closing:
            group, closing = _next_group(self._queue)
            if group:
                outcome = _committed(group, self._writer)
                with suppress(RuntimeError):  # a loop that is closed has nobody waiting
                    _loop(group).call_soon_threadsafe(self._answer, group, outcome)
        self._writer.close()

    def _answer(self, group: Sequence[_Waiting], outcome: Placed | Exception) -> None:
        """Tell each caller of a group what became of it; one wake-up of the loop for all."""
        end = 0
        for each in group:
            self._n_waiting -= len(each)
            start, end = end, end + len(each.lines)
            if each.placed.done():
                continue
            if isinstance(outcome, Exception):
                each.placed.set_exception(outcome)
            else:
                each.placed.set_result(outcome.part(start, end))


def _loop(group: Sequence[_Waiting]) -> AbstractEventLoop:
    return group[0].placed.get_loop()


def _next_group(waiting: queue.SimpleQueue[_Waiting | None]) -> tuple[list[_Waiting], bool]:
    """Return all appends that wait now, at least one, and whether the log closes after them."""
    group: list[_Waiting] = []
    n_lines, one = 0, waiting.get()
    while one is not None:
        group.append(one)
        n_lines += len(one)
        if n_lines >= MOST_LINES_A_COMMIT:
            return group, False
        try:
            one = waiting.get_nowait()
        except queue.Empty:
            return group, False
    return group, True


def _committed(group: Sequence[_Waiting], writer: Writer) -> Placed | Exception:
    """Store the group in one transaction; return where it went, or what every caller must hear."""
    try:
        rejected = list(chain.from_iterable(each.rejected for each in group))
        return writer.append(Lines.joined([each.lines for each in group]), rejected)
    except Exception as error:  # the thread must live on, and every caller must hear of it
        return error


def _busy() -> Unavailable:
    return Unavailable(
        f"the event log is busy: {MOST_WAITING_LINES:,} events wait for the disk. Send these "
        "again in a moment",
        reason="LOG_BUSY",
    )
