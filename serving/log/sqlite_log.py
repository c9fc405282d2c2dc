"""The log in one SQLite file: appends that wait at the same moment share one commit."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from threading import Thread
from typing import TypeVar

from recsys.errors import Unavailable
from recsys.events import Position, Record
from serving.clock import Clock
from serving.log.event_log import Appended, Rejected
from serving.log.records import Lines
from serving.log.tail import LogTail
from serving.log.writer import Placed, Writer

T = TypeVar("T")

MOST_LINES_A_COMMIT = 20_000


@dataclass(frozen=True, slots=True)
class _Waiting:
    """One append that waits for its commit."""

    lines: Lines
    placed: Future[Placed]


class SqliteLog:
    """An `EventLog` that several processes may share: one writer thread and one reader each."""

    def __init__(self, path: Path, *, clock: Clock) -> None:
        self._tail = LogTail(path)
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="log-reader")
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = Thread(
            target=_write_until_closed,
            args=(self._queue, Writer(path, clock=clock)),
            name="log-writer",
            daemon=True,
        )
        self._thread.start()

    async def append(self, records: Sequence[Record]) -> Appended:
        """Store the records and return them with positions; they are durable on return.

        An append that is cancelled may still be committed; sent again, it is a duplicate.
        Raises Unavailable, with nothing stored, when the log cannot commit.
        """
        placed = await self.append_lines(Lines.of(records))
        return Appended(
            tuple(
                Record(record.fact, position, item_row) if position else None
                for record, position, item_row in zip(
                    records, placed.positions, placed.item_rows, strict=True
                )
            ),
            placed.last_position,
        )

    async def append_lines(self, lines: Lines) -> Placed:
        """Store encoded lines and return where they went; durable on return."""
        if self._closed:
            raise Unavailable("the event log is closed", reason="LOG_CLOSED")
        waiting = _Waiting(lines, Future())
        self._queue.put(waiting)
        return await asyncio.wrap_future(waiting.placed)

    async def read(self, after: Position, limit: int) -> Sequence[Record]:
        """Return at most `limit` records behind position `after`, in order."""
        return await self._in_reader(lambda: self._tail.records(after, limit))

    async def last_position(self) -> Position:
        """Return the highest position ever given, 0 for a new log."""
        return await self._in_reader(self._tail.last_position)

    async def vocabulary(self, after_row: int) -> Sequence[tuple[int, str]]:
        """Return (row, item_id) of every item with a row above `after_row`, in order."""
        return await self._in_reader(lambda: self._tail.vocabulary(after_row))

    async def quarantine(self, rejected: Sequence[Rejected]) -> None:
        """Keep events that cannot be used, durably, beside the log."""
        await self._in_reader(lambda: self._tail.quarantine(rejected))

    async def quarantined(self, limit: int) -> Sequence[Rejected]:
        """Return the newest rejected events, newest first."""
        return await self._in_reader(lambda: self._tail.quarantined(limit))

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


def _write_until_closed(waiting: queue.SimpleQueue[_Waiting | None], writer: Writer) -> None:
    """Commit groups of waiting appends until None arrives."""
    closing = False
    while not closing:
        group, closing = _next_group(waiting)
        if group:
            _commit(group, writer)
    writer.close()


def _next_group(waiting: queue.SimpleQueue[_Waiting | None]) -> tuple[list[_Waiting], bool]:
    """Return all appends that wait now, at least one, and whether the log closes after them."""
    group: list[_Waiting] = []
    one = waiting.get()
    while one is not None:
        if one.placed.set_running_or_notify_cancel():
            group.append(one)
        if sum(len(each.lines) for each in group) >= MOST_LINES_A_COMMIT:
            return group, False
        try:
            one = waiting.get_nowait()
        except queue.Empty:
            return group, False
    return group, True


def _commit(group: Sequence[_Waiting], writer: Writer) -> None:
    """Store the group in one transaction and answer each of its callers."""
    try:
        placed = writer.append(Lines.joined([each.lines for each in group]))
    except Exception as error:  # the thread must live on, and every caller must hear of it
        for each in group:
            each.placed.set_exception(error)
        return
    ends = list(accumulate(len(each.lines) for each in group))
    for each, end in zip(group, ends, strict=True):
        each.placed.set_result(placed.part(end - len(each.lines), end))
