"""Catching up: every record that the customers' states do not hold yet is applied to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, Self, TypeVar

from recsys.events import Position
from serving.log.replay import events_between
from serving.log.tail import LogTail
from serving.state.changes import PackedEvents
from serving.state.store import StateStore

RECORDS_A_STEP = 10_000
FAR_BEHIND = 50_000
"""Records behind which the lake, read by columns, is much faster than the log."""

T = TypeVar("T")

Told = Callable[[int, int], None]
"""Told how many records are applied so far, of how many."""


class BulkStore(StateStore, Protocol):
    """A store that also takes events by columns."""

    async def apply_packed(self, events: PackedEvents) -> None:
        """Remember many events at once; the same as `apply` of their records."""
        ...


class CatchUp:
    """Applies what the log, or the lake where the log was trimmed, holds behind `applied_through`.

    For one process at a time, the holder of the data folder's lock. A store that was emptied has
    no `applied_through` and gets everything again. Everything may be applied twice.
    """

    def __init__(self, log_file: Path, lake_folder: Path, store: BulkStore) -> None:
        self._lake_folder = lake_folder
        self._store = store
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="catch-up")
        self._tail = self._thread.submit(LogTail, log_file).result()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._in_thread(self._tail.close)
        self._thread.shutdown()

    async def last_position(self) -> Position:
        """Return the position of the newest record."""
        return await self._in_thread(self._tail.last_position)

    async def run(self, told: Told) -> Position:
        """Apply everything there is and return the position it reaches.

        Raises Unavailable when store, log or lake cannot be used.
        """
        applied = Position(await self._store.applied_through() or 0)
        first, last = applied, await self.last_position()
        drained, trimmed = await self._in_thread(lambda: _marks(self._tail))
        if applied < max(trimmed, drained - FAR_BEHIND):
            applied = await self._from_lake(applied, drained, told)
        while records := await self._in_thread(
            lambda after=applied: self._tail.records(after, RECORDS_A_STEP)  # type: ignore[misc]
        ):
            await self._store.apply(records)
            applied = Position(records[-1].position)
            await self._store.set_applied_through(Position(applied))
            told(applied - first, last - first)
        return applied

    async def _from_lake(self, after: Position, through: Position, told: Told) -> Position:
        done, steps = 0, events_between(self._lake_folder, after, through)
        while (packed := await self._in_thread(lambda: _next(steps))) is not None:
            await self._store.apply_packed(packed)
            done += len(packed.entries)
            told(done, through - after)
        await self._store.set_applied_through(Position(through))
        return through

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _marks(tail: LogTail) -> tuple[Position, Position]:
    return tail.drained_through, tail.trimmed_through


def _next(steps: Iterator[PackedEvents]) -> PackedEvents | None:
    return next(steps, None)
