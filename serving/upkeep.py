"""What the supervisor alone does while workers serve: re-apply, drain, trim, sweep, revive."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

import structlog

from recsys.errors import RecsysError
from recsys.events import Position
from serving.catch_up import CatchUp
from serving.clock import Clock
from serving.log.drain import Drain
from serving.log.lake import Lake
from serving.log.tail import LogTail
from serving.settings import ServingSettings
from serving.telemetry import Announce, Counts

log = structlog.get_logger("serving.upkeep")

DAYS_OF_DIGESTS = 7
_SECONDS_A_DAY = 86_400
_PROGRESS_EVERY_S = 2.0

T = TypeVar("T")

Revive = Callable[[], Awaitable[None]]
"""Starts again a store that is ours and has died; does nothing for one that is not."""


class Archive:
    """The way of records out of the log: drain to the lake, then trim; sweep of event ids.

    All of it runs in one thread of its own, which opens the files.
    """

    def __init__(self, settings: ServingSettings, clock: Clock) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="archive")
        self._clock = clock
        self._swept_day = 0
        lake = Lake(settings.lake_folder)
        self._tail = self._thread.submit(LogTail, settings.log_file).result()
        self._drain = Drain(self._tail, lake, settings.releases_folder)
        for torn in self._thread.submit(lake.open).result():
            log.warning("torn file of the lake moved aside", file=torn.name)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._in_thread(self._tail.close)
        self._thread.shutdown()

    async def drain(self) -> int:
        """Move what waits to the lake; return how many records went. Raises Unavailable."""
        return await self._in_thread(lambda: sum(step.records for step in self._drain.run()))

    async def trim(self, applied_through: Position) -> int:
        """Delete from the log what lake and states hold; sweep old event ids once a day."""
        return await self._in_thread(lambda: self._trimmed(applied_through))

    def _trimmed(self, applied_through: Position) -> int:
        day = int(self._clock().timestamp()) // _SECONDS_A_DAY
        if day > self._swept_day:
            self._tail.sweep_digests(day - DAYS_OF_DIGESTS)
            self._swept_day = day
        return self._drain.trim(applied_through)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


class Upkeep:
    """Keeps states and lake up with the log.

    What fails is said once, counted, and tried again: the store may come back, a disk get room.
    caught_up: set once the states hold what the log held at the start.
    away: set while the store cannot be used.
    """

    def __init__(
        self,
        catch_up: CatchUp,
        archive: Archive,
        settings: ServingSettings,
        *,
        revive: Revive,
        announce: Announce,
    ) -> None:
        self.caught_up = asyncio.Event()
        self.away = asyncio.Event()
        self.counts = Counts()
        self._catch_up = catch_up
        self._archive = archive
        self._settings = settings
        self._revive = revive
        self._announce = announce
        self._trim_next = asyncio.Event()
        self._failing: set[str] = set()

    async def keep_applying(self) -> None:
        """Apply new records for good; trim the log whenever the drain has moved.

        Trimming stands between two applications, never beside one: a store that lost its last
        second needs again what the log still holds.
        """
        while True:
            if await self._tried("apply", self._apply_and_trim):
                self.away.clear()
                self.caught_up.set()
            else:
                self.away.set()
                await self._tried("revive", self._revive)
            await asyncio.sleep(self._settings.apply_interval_s)

    async def keep_draining(self) -> None:
        """Drain the log for good."""
        while True:
            await self._tried("drain", self._drain)
            await asyncio.sleep(self._settings.drain_interval_s)

    async def finish(self) -> None:
        """Apply and drain what is left; what fails is said and stays in the log."""
        await self._tried("apply", self._apply_and_trim)
        await self._tried("drain", self._drain)

    async def _apply_and_trim(self) -> None:
        applied = await self._catch_up.run(_told(self._announce))
        if self._trim_next.is_set():
            self._trim_next.clear()
            self.counts["records_trimmed"] += await self._archive.trim(applied)

    async def _drain(self) -> None:
        self.counts["records_drained"] += await self._archive.drain()
        self._trim_next.set()

    async def _tried(self, name: str, work: Callable[[], Awaitable[None]]) -> bool:
        """Return whether the work was done; a failure is counted, and said when it is the first."""
        try:
            await work()
        except RecsysError as error:
            self.counts[f"{name}_failed"] += 1
            if name not in self._failing:
                self._failing.add(name)
                log.warning(f"cannot {name} for now", reason=error.reason, message=str(error))
            return False
        if name in self._failing and name != "revive":
            self._failing -= {name, "revive"}
            log.info(f"can {name} again")
        return True


def _told(announce: Announce) -> Callable[[int, int], None]:
    """Return what says now and then how far a long catch-up has come."""
    loop = asyncio.get_running_loop()
    last = loop.time()

    def told(done: int, of: int) -> None:
        nonlocal last
        if loop.time() - last >= _PROGRESS_EVERY_S:
            last = loop.time()
            announce(f"bringing customers' states up to date: {done:,} of {of:,} records")

    return told
