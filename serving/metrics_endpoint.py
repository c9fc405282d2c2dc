"""Where the metrics of a server are read: one HTTP port of the supervisor, for all its processes.

A worker keeps its numbers in files of a folder that its supervisor names, so they outlive it; the
supervisor adds its own and serves all of them.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import start_http_server
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from serving.metrics import HELP, Registry

log = structlog.get_logger("serving.metrics")

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder to a worker; without it a process keeps its numbers to itself."""

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # a folder of our own is made in it
_CPU = "recsys_process_cpu_seconds_total"
_MEMORY = "recsys_process_resident_memory_bytes"


class WorkersCollector(Collector):
    """The numbers of all workers, dead ones included, added up from the files of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: Collector = MultiProcessCollector(  # type: ignore[no-untyped-call]
            None, path=str(folder)
        )

    def collect(self) -> Iterator[Metric]:
        """Yield one metric a name; what only the living have is dropped with its worker."""
        for file in self._folder.glob("gauge_live*_*.db"):
            if not _alive(int(file.stem.rpartition("_")[2])):
                file.unlink(missing_ok=True)
        yield from self._files.collect()


class ProcessCollector(Collector):
    """Processor time and memory of the server's processes, where the system tells (Linux)."""

    def __init__(self, processes: Callable[[], Mapping[str, int]]) -> None:
        self._processes = processes

    def collect(self) -> Iterator[Metric]:
        """Yield both for every process that lives, by its role."""
        cpu = CounterMetricFamily(_CPU, HELP[_CPU], labels=["process"])
        memory = GaugeMetricFamily(_MEMORY, HELP[_MEMORY], labels=["process"])
        for role, pid in self._processes().items():
            with suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks, pages = int(fields[11]) + int(fields[12]), int(fields[21])
                cpu.add_metric([role], ticks / os.sysconf("SC_CLK_TCK"))
                memory.add_metric([role], pages * os.sysconf("SC_PAGE_SIZE"))
        yield from (cpu, memory)


@contextmanager
def folder_of_metrics(data_folder: Path) -> Iterator[Path]:
    """Give an empty folder for the workers of one data folder's server; it goes with the block.

    It is in memory where the system offers that: a mapped file on a full disk kills who writes.
    """
    base = _SHARED_MEMORY if os.access(_SHARED_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
    name = sha256(str(data_folder.resolve()).encode()).hexdigest()[:12]
    for left_over in base.glob(f"recsys-metrics-{name}-*"):
        shutil.rmtree(left_over, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"recsys-metrics-{name}-", dir=base))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def served_metrics(registry: Registry, host: str, port: int) -> Iterator[str]:
    """Serve a registry over HTTP while the block lasts, and give the address.

    Port 0 takes a free one, as does a port that another process has: that is said, and is no
    reason not to serve customers.
    """
    server, thread = _listening(registry, host, port)
    shown = f"[{host}]" if ":" in host else host
    try:
        yield f"http://{shown}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _listening(registry: Registry, host: str, port: int) -> tuple[Any, Any]:
    try:
        return start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES) or port == 0:
            raise
        log.warning("port of metrics is taken, a free one is used", port=port)
        return start_http_server(0, addr=host, registry=registry)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
