"""What the supervisor alone does while workers serve: re-apply, drain, trim, tidy, revive."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self, TypeVar

import structlog

from recsys.errors import RecsysError
from recsys.events import Position
from serving.catch_up import CatchUp
from serving.clock import Clock
from serving.erasure.receipts import Receipt
from serving.lake.drain import Drain
from serving.lake.lake import Lake
from serving.log.tail import LogTail
from serving.metrics import UpkeepMetrics
from serving.settings import ServingSettings
from serving.telemetry import Announce, described

log = structlog.get_logger("serving.upkeep")

LARGE = 500_000
"""Records drained after which the lake is tidied before it is time."""
_SECONDS_A_DAY = 86_400
_PROGRESS_EVERY_S = 2.0
_LOOK_EVERY_S = 0.5
_AGAIN_AFTER_S = 5.0
_MEASURE_EVERY_S = 5.0
_ERASE_EVERY_S = 1.0
_FIRST_TIDYING_S = 60.0
_REST = 20.0
"""How many times as long as tidying took it rests, at least: a twentieth of a core is enough."""
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)

T = TypeVar("T")

Erase = Callable[[], Awaitable[Sequence[Receipt]]]
"""Erases who is to be erased, and returns the receipts of what was done or is still open."""
Revive = Callable[[], Awaitable[None]]
"""Starts again a store that is ours and has died; does nothing for one that is not."""


@dataclass(frozen=True, slots=True)
class Moved:
    """Records that went to the lake, and whether somebody waited for them."""

    records: int
    asked: bool = False


class Archive:
    """The way of records out of the log: drain to the lake, then trim; and the lake kept tidy.

    All of it runs in one thread of its own, which opens the files; what takes long is cut into
    steps, and drains go between two. The customers table, which nothing else touches, has
    another. Everything raises Unavailable.
    """

    def __init__(self, settings: ServingSettings, clock: Clock) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="archive")
        self._customers_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="customers")
        self._settings = settings
        self._clock = clock
        self._swept_day = 0
        self._drained_at = _NEVER
        self._lake = Lake(settings.lake_folder)
        self._tail = self._thread.submit(LogTail, settings.log_file).result()
        self._drain = Drain(self._tail, self._lake)
        for torn in self._thread.submit(self._lake.open).result():
            log.warning("torn file of the lake moved aside", file=torn.name)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._lake.stop()
        await self.in_archive(self._tail.close)
        self._thread.shutdown()
        self._customers_thread.shutdown()

    async def drain(self) -> Moved:
        """Move all that waits to the lake."""
        return await self.in_archive(self._drained)

    async def drain_when_due(self) -> Moved | None:
        """Move what waits to the lake where much waits, or long, or somebody for it; else None."""
        return await self.in_archive(self._drained_when_due)

    async def tidy(self) -> None:
        """Merge the lake's small files, and delete what is out of keeping, step by step."""
        steps = self._lake.tidy(self._settings.keeping, self._clock())
        while await self.in_archive(lambda: next(steps, steps)) is not steps:
            continue

    async def write_customers(self) -> bool:
        """Bring the customers table up to the lake; return False where it is already."""
        rule = self._settings.robot_rule
        return await self.in_customers(lambda: self._lake.write_customers(rule))

    async def trim(self, applied_through: Position) -> int:
        """Delete from the log what lake and states hold; sweep what is old once a day."""
        return await self.in_archive(lambda: self._trimmed(applied_through))

    async def measure(self, metrics: UpkeepMetrics) -> None:
        """Note how far the log has come, what waits in quarantine, and how many items there are."""
        await self.in_archive(lambda: self._measured(metrics))

    def _measured(self, metrics: UpkeepMetrics) -> None:
        metrics.position.labels("last").set(self._tail.last_position())
        metrics.position.labels("drained").set(self._tail.drained_through)
        metrics.position.labels("trimmed").set(self._tail.trimmed_through)
        metrics.quarantined.set(self._tail.n_quarantined())
        metrics.item_numbers.set(self._lake.last_row() + 1)

    def _drained_when_due(self) -> Moved | None:
        waiting = self._drain.waiting()
        since = (self._clock() - self._drained_at).total_seconds()
        long_ago = not 0 <= since < self._settings.drain_interval_s
        if not (waiting.asked or long_ago or waiting.records >= self._settings.drain_records):
            return None
        return Moved(self._drained().records, waiting.asked)

    def _drained(self) -> Moved:
        moved = sum(step.records for step in self._drain.run())
        self._drained_at = self._clock()
        return Moved(moved)

    def _trimmed(self, applied_through: Position) -> int:
        day = int(self._clock().timestamp()) // _SECONDS_A_DAY
        if day > self._swept_day:
            self._tail.sweep(day)
            self._swept_day = day
        return self._drain.trim(applied_through)

    async def in_customers(self, work: Callable[[], T], /) -> T:
        """Return what work comes to in the thread of the customers table."""
        return await asyncio.get_running_loop().run_in_executor(self._customers_thread, work)

    async def in_archive(self, work: Callable[[], T], /) -> T:
        """Return what work comes to in the thread that has the files of log and lake."""
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
        erase: Erase,
        announce: Announce,
        metrics: UpkeepMetrics,
    ) -> None:
        self.caught_up = asyncio.Event()
        self.away = asyncio.Event()
        self._metrics = metrics
        self._catch_up = catch_up
        self._archive = archive
        self._settings = settings
        self._revive = revive
        self._erase = erase
        self._announce = announce
        self._trim_next = asyncio.Event()
        self._tidy_next = asyncio.Event()
        self._untidy = 0
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

    async def keep_erasing(self) -> None:
        """Erase for good whoever is to be erased."""
        while True:
            erased = await self._tried("erase", self._erase)
            await asyncio.sleep(_ERASE_EVERY_S if erased else _AGAIN_AFTER_S)

    async def keep_draining(self) -> None:
        """Drain the log for good, whenever that is due."""
        while True:
            drained = await self._tried("drain", self._drain_when_due)
            await asyncio.sleep(_LOOK_EVERY_S if drained else _AGAIN_AFTER_S)

    async def keep_tidying(self) -> None:
        """Tidy the lake and write the customers table for good, now and then and after imports."""
        loop, interval = asyncio.get_running_loop(), self._settings.compact_interval_s
        await self._until_tidying(min(interval, _FIRST_TIDYING_S))
        while True:
            started = loop.time()
            await self._tried("tidy", self._tidy)
            await asyncio.sleep(_REST * (loop.time() - started))
            await self._until_tidying(interval)

    async def keep_measuring(self) -> None:
        """Note for good how far everything has come."""
        while True:
            await self._tried("measure", lambda: self._archive.measure(self._metrics))
            await asyncio.sleep(_MEASURE_EVERY_S)

    async def finish(self) -> None:
        """Apply and drain what is left; what fails is said and stays in the log."""
        await self._tried("apply", self._apply_and_trim)
        await self._tried("drain", self._drain)

    async def _apply_and_trim(self) -> None:
        applied = await self._catch_up.run(_told(self._announce))
        self._metrics.position.labels("applied").set(applied)
        if self._trim_next.is_set():
            self._trim_next.clear()
            self._metrics.trimmed.inc(await self._archive.trim(applied))

    async def _drain(self) -> None:
        self._count(await self._archive.drain())

    async def _drain_when_due(self) -> None:
        if moved := await self._archive.drain_when_due():
            self._count(moved)

    def _count(self, moved: Moved) -> None:
        self._metrics.drained.inc(moved.records)
        self._trim_next.set()
        self._untidy += moved.records
        if moved.asked or self._untidy >= LARGE:
            self._untidy = 0
            self._tidy_next.set()

    async def _tidy(self) -> None:
        await self._archive.tidy()
        self._metrics.customers_written.inc(await self._archive.write_customers())

    async def _until_tidying(self, seconds: float) -> None:
        """Return after so many seconds, or when there is reason before."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._tidy_next.wait(), seconds)
        self._tidy_next.clear()

    async def _tried(self, name: str, work: Callable[[], Awaitable[object]]) -> bool:
        """Return whether the work was done; a failure is counted, and said when it is the first."""
        try:
            await work()
        except Exception as error:  # of one job; the others, and the shop, go on
            self._metrics.failures.labels(name).inc()
            if name not in self._failing:
                self._failing.add(name)
                _say_failed(name, error)
            return False
        if name in self._failing and name != "revive":
            self._failing -= {name, "revive"}
            log.info(f"can {name} again")
        return True


def _say_failed(name: str, error: Exception) -> None:
    if isinstance(error, RecsysError):
        log.warning(f"cannot {name} for now", reason=error.reason, message=str(error))
    else:
        log.error(f"cannot {name}, for a fault of our own", **described(error))


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
