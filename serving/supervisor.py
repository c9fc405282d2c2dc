"""The supervisor: one data folder, its workers, its Valkey, and the way from log to lake."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

import structlog

from recsys.errors import Unavailable
from recsys.pipeline.placement import read_placements
from serving.catch_up import CatchUp
from serving.clock import utc_now
from serving.erasure.gate import gate_of
from serving.erasure.job import Eraser, Live, Threads
from serving.erasure.places import Places
from serving.erasure.secret import keys_of
from serving.lock import DataFolderLock
from serving.metrics import Registry, UpkeepMetrics, totals
from serving.metrics_endpoint import (
    FOLDER_VARIABLE,
    ProcessCollector,
    WorkersCollector,
    folder_of_metrics,
    served_metrics,
)
from serving.port import held_port
from serving.releases import ReleaseFolder
from serving.settings import ServingSettings
from serving.state.erasing import StateErasing
from serving.state.redis_store import RedisSettings, RedisStateStore
from serving.state_server import StateServer
from serving.telemetry import Announce
from serving.trends.counting import Counting, CountingPlan
from serving.upkeep import Archive, Upkeep
from serving.worker_pool import WorkerPool

log = structlog.get_logger("serving.supervisor")

KILLED = 137
_SETTLE_S = 6.0
"""What a worker takes at most to apply events that it read before somebody was erased."""


async def supervise(settings: ServingSettings, announce: Announce) -> None:
    """Serve until SIGINT or SIGTERM; a second one kills everything at once.

    Raises what a person can act on: DATA_FOLDER_TAKEN, PORT_TAKEN, no Valkey, bad placements
    or languages.
    """
    read_placements(settings.placements_file)  # said once here rather than by every worker
    settings.spoken_languages()
    stop, registry = _Stop(), Registry()
    async with AsyncExitStack() as stack:
        stack.enter_context(DataFolderLock(settings.data_folder))
        port = stack.enter_context(held_port(settings.host, settings.port))
        if settings.admin_port:
            stack.enter_context(held_port(settings.host, settings.admin_port, "RECSYS_ADMIN_PORT"))
        server = await StateServer.found(settings)
        stack.push_async_callback(server.stop)
        metrics = UpkeepMetrics.of(registry)
        upkeep = await stack.enter_async_context(_upkeep(settings, server, announce, metrics))
        chosen = settings.model_copy(update={"port": port, "redis_url": server.address.url})
        folder = stack.enter_context(folder_of_metrics(settings.data_folder))
        pool = WorkerPool(chosen, {FOLDER_VARIABLE: str(folder)})
        stop.kills += [pool.kill, server.kill]
        registry.register(WorkersCollector(folder))
        registry.register(ProcessCollector(lambda: _processes(pool, server)))
        told = served_metrics(registry, settings.host, settings.metrics_port)
        counting = await stack.enter_async_context(_counting(settings, metrics))
        ready = _Readiness(pool, upkeep, counting, chosen, announce, stack.enter_context(told))
        await _serve_until(stop, ready)
        await upkeep.finish()
    log.info("stopped", **totals(registry))


async def _serve_until(stop: _Stop, ready: _Readiness) -> None:
    """Run workers and upkeep until the first signal; then let the workers finish."""
    works = (
        ready.pool.keep_running(),
        ready.upkeep.keep_applying(),
        ready.upkeep.keep_draining(),
        ready.upkeep.keep_tidying(),
        ready.upkeep.keep_erasing(),
        ready.upkeep.keep_measuring(),
        ready.counting.keep_counting(),
        ready.keep_telling(),
        stop.told.wait(),
    )
    running = [asyncio.create_task(work) for work in works]
    saying = asyncio.create_task(ready.say())
    try:
        done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        if not stop.told.is_set():
            done.pop().result()  # raises what ended it
        log.info("stopping: calls under way are finished; Ctrl-C again kills")
    finally:
        saying.cancel()
        await ready.pool.stop()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, saying, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class _Readiness:
    """What a server needs to be ready, and who is told.

    counting: what counts what is wanted. metrics: address of its metrics.
    """

    pool: WorkerPool
    upkeep: Upkeep
    counting: Counting
    settings: ServingSettings
    announce: Announce
    metrics: str

    async def say(self) -> None:
        """Say that the server is ready, once workers answer and states are up to date."""
        await self.pool.listening()
        events = (self.upkeep.caught_up, self.upkeep.away)
        waits = [asyncio.create_task(event.wait()) for event in events]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        served = next(iter(self.pool.served.values()), None)
        self.announce(self._sentence(served))
        log.info(
            "ready",
            address=self.settings.address,
            workers=len(self.pool.served),
            release=served or None,
            metrics=self.metrics,
            admin=self.settings.admin_address or None,
        )

    async def keep_telling(self) -> None:
        """Tell the workers, for good, while the store does not take what is acknowledged."""
        told = False
        while True:
            behind = self.upkeep.away.is_set()
            if behind or told:
                self.pool.tell(behind=behind)
            told = behind
            await asyncio.sleep(self.settings.apply_interval_s)

    def _sentence(self, served: str | None) -> str:
        parts = [f"ready: gRPC on {self.settings.address}", f"{len(self.pool.served)} workers"]
        parts += [f"release {served}" if served else self._why_no_release(served)]
        if not self.upkeep.caught_up.is_set():
            parts += ["customer state is away: answers are degraded, events wait in the log"]
        return "; ".join(parts)

    def _why_no_release(self, served: str | None) -> str:
        """Return why no release answers, what does in its stead, and the next step.

        served: empty where the catalog stands in, None where nothing does.
        """
        does = "only events are taken" if served is None else "the catalog alone answers"
        pointer = ReleaseFolder(self.settings.releases_folder).pointer()
        if pointer is None:
            return f"no release yet, so {does} until `recsys train`"
        refused = f"release {pointer.version} is refused, as said above, so {does}"
        return f"{refused}: `recsys rollback` or train"


@asynccontextmanager
async def _upkeep(
    settings: ServingSettings, server: StateServer, announce: Announce, metrics: UpkeepMetrics
) -> AsyncIterator[Upkeep]:
    """Give the upkeep of a data folder over an open log, lake and store."""
    keys = keys_of(settings)
    store = RedisStateStore(server.address, keys, RedisSettings(connections=8))
    gate = gate_of(settings)
    try:
        async with (
            CatchUp(settings.log_file, settings.lake_folder, store, gate) as catch_up,
            Archive(settings, utc_now) as archive,
        ):
            live = Live(store, StateErasing(store, server.address, keys))
            threads = Threads(archive.in_archive, archive.in_customers, settle_s=_SETTLE_S)
            eraser = Eraser(Places.of(settings), keys, live, threads, clock=utc_now)
            await eraser.run()  # before anybody is answered: the folder may be a backup's
            yield Upkeep(
                catch_up,
                archive,
                settings,
                revive=server.revive,
                erase=eraser.run,
                announce=announce,
                metrics=metrics,
            )
    finally:
        with suppress(Unavailable):
            await store.close()


def _counting(settings: ServingSettings, metrics: UpkeepMetrics) -> Counting:
    """Return what counts the wants of a data folder."""
    plan = CountingPlan(
        settings.log_file,
        settings.lake_folder,
        settings.trends_file,
        settings.trends_interval_s,
        settings.trends_memory,
    )
    return Counting(plan, utc_now, metrics)


def _processes(pool: WorkerPool, server: StateServer) -> dict[str, int]:
    """Return the processes of this server, by role."""
    return {"supervisor": os.getpid(), **pool.pids(), **server.pids()}


class _Stop:
    """Hears SIGINT and SIGTERM: the first asks everything to end, the second kills.

    told: set by the first. kills: what ends the processes that are ours.
    """

    def __init__(self) -> None:
        self.told = asyncio.Event()
        self.kills: list[Callable[[], None]] = []
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._hear)

    def _hear(self) -> None:
        if self.told.is_set():
            for kill in self.kills:
                kill()
            os._exit(KILLED)  # what was acknowledged is in the log
        self.told.set()
