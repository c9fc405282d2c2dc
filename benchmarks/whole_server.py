"""The whole service as people run it, `recsys serve`: its processes, and what each of them uses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import IO
from urllib.request import urlopen

from benchmarks.processes import cpu_seconds

STARTING_S = 60.0
ENDING_S = 60.0
FREE_PORTS = {"RECSYS_PORT": "0", "RECSYS_METRICS_PORT": "0", "RECSYS_ADMIN_PORT": "0"}
SERVE = (
    "from importlib.metadata import EntryPoint; from recsys.cli import main; "
    "main(['serve'], points=[EntryPoint('serving', 'serving.cli:app', 'recsys.commands')])"
)


@dataclass(frozen=True, slots=True)
class WholeServer:
    """A supervisor with its workers and its Valkey.

    metrics: address of its metrics.
    """

    pid: int
    data_folder: Path
    address: str
    metrics: str

    @property
    def workers(self) -> list[int]:
        """The processes of its workers."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii")
        return [pid for pid in map(int, children.split()) if "serving.app" in _command(pid)]

    def cpu_seconds(self) -> dict[str, float]:
        """Return the processor time of each of its processes so far, by role."""
        valkey = int((self.data_folder / "valkey" / "valkey.pid").read_text(encoding="ascii"))
        return {
            "worker": sum(cpu_seconds(pid) for pid in self.workers),
            "valkey": cpu_seconds(valkey),
            "supervisor": cpu_seconds(self.pid),
        }

    def exposition(self) -> str:
        """Return what its metrics say now."""
        with urlopen(self.metrics) as page:
            text: str = page.read().decode()
        return text


@contextmanager
def whole_server(
    data_folder: Path, on_cores: Collection[int], settings: Mapping[str, str]
) -> Iterator[WholeServer]:
    """Give a running server with all its processes on these cores; it ends with the block.

    It ends as on Ctrl-C: everything that was acknowledged is in the lake then.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE],
        env={**os.environ, "RECSYS_DATA_FOLDER": str(data_folder), **FREE_PORTS, **settings},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, on_cores),
    )
    try:
        ready = _ready(process)
        yield WholeServer(process.pid, data_folder, ready["address"], ready["metrics"])
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ready(process: subprocess.Popen[str]) -> Mapping[str, str]:
    """Return what a server says when it is ready; what it says later goes to standard error."""
    if process.stderr is None:
        raise ValueError("a process without pipes")
    deadline = time.monotonic() + STARTING_S
    for line in process.stderr:
        said = json.loads(line) if line.startswith("{") else {}
        if said.get("event") == "ready":
            Thread(target=_pass_on, args=(process.stderr,), daemon=True).start()
            ready: Mapping[str, str] = said
            return ready
        if said.get("level") != "info":
            sys.stderr.write(line)
        if time.monotonic() > deadline:
            break
    raise RuntimeError(f"the server does not come up (exit status {process.poll()})")


def _pass_on(pipe: IO[str]) -> None:
    """Let warnings and errors be seen, and nothing else."""
    with pipe:
        for line in pipe:
            if '"level":"info"' not in line.replace(" ", ""):
                sys.stderr.write(line)


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
