"""Server and client processes of a benchmark: started, pinned to cores, timed, and ended."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Protocol

from benchmarks.load import RECOMMEND, Load, Tally
from serving.metrics_endpoint import FOLDER_VARIABLE, folder_of_metrics
from serving.settings import ServingSettings
from serving.worker_pool import ONE_THREAD, WORKER_SETTINGS

ENDING_S = 15.0
WARMING_S = 1.0
"""How long a server is under load before a window begins."""


class Driven(Protocol):
    """Whatever can be put under load."""

    def cpu_seconds(self) -> dict[str, float]:
        """Return the processor time of each of its processes so far, by role."""
        ...


@dataclass(frozen=True, slots=True)
class Server:
    """A gRPC server that runs alone on one core."""

    pid: int
    address: str
    method: str
    requests: tuple[str, ...]

    def cpu_seconds(self) -> dict[str, float]:
        """Return the processor time that it has used so far, in all its threads."""
        return {"server": cpu_seconds(self.pid)}


@dataclass(frozen=True, slots=True)
class Window:
    """What one server did in one window.

    began_at: on the monotonic clock. cpu: processor time of the server, by role. tallies: one of
    each client process.
    """

    seconds: float
    began_at: float
    cpu: Mapping[str, float]
    tallies: tuple[Tally, ...]

    @property
    def cpu_seconds(self) -> float:
        """Processor time of the server, of all its processes."""
        return sum(self.cpu.values())

    @property
    def answers(self) -> int:
        """Calls answered."""
        return sum(tally.answers for tally in self.tallies)

    @property
    def errors(self) -> int:
        """Calls that failed."""
        return sum(tally.errors for tally in self.tallies)

    @property
    def degraded(self) -> int:
        """Answers that rest on less than is known."""
        return sum(tally.degraded for tally in self.tallies)

    @property
    def items(self) -> int:
        """Items in the answers, or events accepted."""
        return sum(tally.items for tally in self.tallies)

    @property
    def latencies_ms(self) -> list[float]:
        """The latency of every answer."""
        return [ms for tally in self.tallies for ms in tally.latencies_ms]

    @property
    def cpu_share(self) -> float:
        """Share of its core that the server used; well below 1 it waited for the clients."""
        return self.cpu_seconds / self.seconds


def cores() -> tuple[int, frozenset[int]]:
    """Return the core of the server, and those of everything else; one and the same if need be."""
    mine = sorted(os.sched_getaffinity(0))
    return mine[0], frozenset(mine[1:] or mine)


@contextmanager
def worker(settings: ServingSettings, core: int, requests: tuple[str, ...]) -> Iterator[Server]:
    """Give the real worker, alone on a core, once it serves."""
    settings = settings.model_copy(update={"port": _free_port()})
    told = {**ONE_THREAD, WORKER_SETTINGS: settings.model_dump_json()}
    with (
        folder_of_metrics(settings.data_folder) as metrics,
        _pinned(["-m", "serving.app"], core, {**told, FOLDER_VARIABLE: str(metrics)}) as process,
    ):
        if json.loads(_first_words(process))["serving"] is None:
            raise RuntimeError("the worker serves no release; what it said stands above")
        yield Server(process.pid, f"127.0.0.1:{settings.port}", RECOMMEND, requests)


@contextmanager
def echo(core: int, *, request_bytes: int, response_bytes: int) -> Iterator[Server]:
    """Give an empty server, alone on a core, that answers with so many bytes."""
    from benchmarks.echo_server import METHOD  # not at the top: it is a program of its own

    with _pinned(["-m", "benchmarks.echo_server", str(response_bytes)], core, {}) as process:
        port = int(_first_words(process))
        yield Server(process.pid, f"127.0.0.1:{port}", METHOD, (bytes(request_bytes).hex(),))


def driven(server: Driven, plan: Load, *, clients: int, on_cores: frozenset[int]) -> Window:
    """Return what a server does under a load that so many client processes share."""
    loads = [
        replace(
            plan,
            rate=plan.rate / clients,
            seed=plan.seed + place,
            batches=plan.batches and plan.batches.of_client(place),
        )
        for place in range(clients)
    ]
    processes = [_client(load, on_cores) for load in loads]
    try:
        begins_at = _begun(processes)
        time.sleep(max(begins_at - time.monotonic(), 0.0))
        before, started = server.cpu_seconds(), time.monotonic()
        time.sleep(plan.seconds)
        after, ended = server.cpu_seconds(), time.monotonic()
        told = [process.communicate(timeout=ENDING_S)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    scale = plan.seconds / (ended - started)
    tallies = tuple(Tally(**json.loads(words)) for words in told)
    cpu = {role: (after[role] - before[role]) * scale for role in after}
    return Window(plan.seconds, begins_at, cpu, tallies)


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used so far, in all its threads."""
    line = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    user, system = line.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def load_on(server: Server, *, seconds: float, in_flight: int, rate: float, seed: int) -> Load:
    """Return a load on a server, over four channels of each client process."""
    return Load(
        address=server.address,
        method=server.method,
        requests=server.requests,
        seconds=seconds,
        channels=4,
        in_flight=in_flight,
        rate=rate,
        seed=seed,
    )


def _client(load: Load, on_cores: frozenset[int]) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.load"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    # From outside: a function between fork and exec would run beside this process's gRPC threads.
    os.sched_setaffinity(process.pid, on_cores)
    _say(process, json.dumps(asdict(load)))
    return process


def _begun(clients: Sequence[subprocess.Popen[str]]) -> float:
    """Return when the window begins, once every client is connected and knows it."""
    for client in clients:
        _first_words(client)
    begins_at = time.monotonic() + WARMING_S
    for client in clients:
        _say(client, repr(begins_at))
    return begins_at


def _say(process: subprocess.Popen[str], line: str) -> None:
    pipe = _pipe(process.stdin)
    pipe.write(line + "\n")
    pipe.flush()


@contextmanager
def _pinned(
    arguments: Sequence[str], core: int, told: Mapping[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """Give a Python process on one core; it ends with the block."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **told},
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            _pipe(pipe).close()


def _first_words(process: subprocess.Popen[str]) -> str:
    """Return the line that a process says once it is ready."""
    line = _pipe(process.stdout).readline()
    if not line:
        raise RuntimeError(f"a process ended before it was ready (exit status {process.wait()})")
    return line


def _pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise ValueError("a process without pipes")
    return pipe


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
