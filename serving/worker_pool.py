"""The worker processes: started, watched, replaced when one dies, drained at the end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType

import orjson
import structlog

from recsys.errors import Unavailable
from serving.settings import ServingSettings

log = structlog.get_logger("serving.workers")

WORKER_SETTINGS = "RECSYS_WORKER_SETTINGS"
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
}
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
HEALTHY_AFTER_S = 30.0
MOST_FALSE_STARTS = 3
_KILL_AFTER_GRACE_S = 5.0


class WorkerPool:
    """So many workers of one server, each a process with its own event loop.

    They hold the reading end of a pipe whose writing end is here: it closes when this process
    ends, however it ends, and then they stop by themselves.

    environment: variables that the workers get beside those of this process.

    served: version that each worker last said it serves; empty where the catalog
        stands in for one, None where it has nothing to serve.
    """

    def __init__(
        self, settings: ServingSettings, environment: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.served: dict[int, str | None] = {}
        self._environment = {
            **os.environ,
            **ONE_THREAD,
            **environment,
            WORKER_SETTINGS: settings.model_dump_json(),
        }
        self._grace_s = settings.grace_s
        self._processes: dict[int, Process] = {}
        self._listening = [asyncio.Event() for _ in range(settings.n_workers)]
        self._keeping: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()

    def pids(self) -> dict[str, int]:
        """Return the process of each worker that runs, by its name."""
        running = sorted(self._processes.items())
        return {f"worker-{place}": one.pid for place, one in running if one.returncode is None}

    async def keep_running(self) -> None:
        """Run the workers until `stop`. Raises Unavailable when one never comes up."""
        places = range(len(self._listening))
        self._keeping = [asyncio.create_task(self._keep(place)) for place in places]
        await asyncio.gather(*self._keeping)

    async def listening(self) -> None:
        """Return once every worker takes calls."""
        for one in self._listening:
            await one.wait()

    async def stop(self) -> None:
        """Let every worker finish its calls and end; kill what does not end in time."""
        self._stopping.set()
        self._signal(signal.SIGTERM)
        if not self._keeping:
            return
        _, late = await asyncio.wait(self._keeping, timeout=self._grace_s + _KILL_AFTER_GRACE_S)
        if late:
            log.warning("workers did not end in time and are killed", workers=len(late))
            self.kill()
            await asyncio.wait(late)

    def tell(self, *, behind: bool) -> None:
        """Tell every worker whether the store does not take what is acknowledged."""
        line = orjson.dumps({"behind": behind}) + b"\n"
        for process in self._processes.values():
            if process.returncode is None and process.stdin is not None:
                process.stdin.write(line)

    def kill(self) -> None:
        """End every worker at once."""
        self._stopping.set()
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        for process in self._processes.values():
            if process.returncode is None:
                process.send_signal(number)

    async def _keep(self, place: int) -> None:
        """Run the worker of one place, and another when it has died, after a growing pause."""
        loop, pause, false_starts = asyncio.get_running_loop(), FIRST_PAUSE_S, 0
        while not self._stopping.is_set():
            started = loop.time()
            status = await self._run_one(place)
            if self._stopping.is_set():
                return
            false_starts = 0 if self._listening[place].is_set() else false_starts + 1
            if false_starts == MOST_FALSE_STARTS:
                raise _does_not_start(status)
            pause = FIRST_PAUSE_S if loop.time() - started > HEALTHY_AFTER_S else pause
            log.error("worker died and is replaced", worker=place, status=status, pause_s=pause)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _run_one(self, place: int) -> int:
        """Run one worker to its end and return its exit status."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "serving.app",
            stdin=PIPE,
            stdout=PIPE,
            env=self._environment,
            start_new_session=True,  # Ctrl-C is for the supervisor, who tells them
        )
        self._processes[place] = process
        if self._stopping.is_set():
            process.send_signal(signal.SIGTERM)
        log.debug("worker started", worker=place, pid=process.pid)
        await self._hear(place, process)
        return await process.wait()

    async def _hear(self, place: int, process: Process) -> None:
        """Note what a worker says of itself, line by line, until it ends."""
        if process.stdout is None:
            raise ValueError("a worker without a pipe to speak through")
        async for line in process.stdout:
            self.served[place] = orjson.loads(line)["serving"]
            self._listening[place].set()


def _does_not_start(status: int) -> Unavailable:
    return Unavailable(
        f"a worker does not start (exit status {status}); what it said stands above. Mend that and "
        "run `recsys serve` again",
        reason="WORKER_DOES_NOT_START",
    )
