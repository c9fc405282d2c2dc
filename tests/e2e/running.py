"""A real server for tests: its data folder, its process, and what it says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any, Self
from uuid import uuid4

from recsys.bundle import ModelBundle
from recsys.events import Event, EventType
from recsys.ids import ItemId
from recsys.releases import move_pointer
from serving.client import RecsysClient
from serving.clock import utc_now
from serving.log.writer import Writer
from tests import shop

DEADLINE_S = 60.0  # only ever waited out when something is broken
RECSYS = (
    "import sys; from importlib.metadata import EntryPoint; from recsys.cli import main; "
    "sys.exit(main(points=[EntryPoint('serving', 'serving.cli:app', 'recsys.commands')]))"
)


def wait_until(holds: Callable[[], Any], what: str) -> Any:
    """Return the first true value of `holds`."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        if value := holds():
            return value
        time.sleep(0.05)
    raise AssertionError(f"waited in vain for: {what}")


@dataclass
class DataFolder:
    """A data folder of the tiny shop: its items are in the log, their rows those of its bundles.

    program: the Python that a server of it runs, as the command `recsys`.
    """

    path: Path
    program: str = RECSYS

    @property
    def releases(self) -> Path:
        return self.path / "releases"

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "RECSYS_DATA_FOLDER": str(self.path),
            "RECSYS_PLACEMENTS": str(self.path / "placements.toml"),
            "RECSYS_PORT": "0",
            "RECSYS_METRICS_PORT": "0",
            "RECSYS_ADMIN_PORT": "0",
            "RECSYS_WORKERS": "2",
            "RECSYS_RELEASE_POLL_S": "0.1",
            "RECSYS_APPLY_INTERVAL_S": "0.1",
            "RECSYS_DRAIN_INTERVAL_S": "0.3",
            "RECSYS_READ_TIMEOUT_MS": "1000",
        }

    def fill(self) -> Self:
        self.releases.mkdir()
        (self.path / "placements.toml").write_text(shop.PLACEMENTS)
        writer = Writer(self.path / "log" / "log.sqlite", clock=utc_now)
        writer.change_items(shop.items())
        writer.close()
        return self

    def publish(self, bundle: ModelBundle) -> None:
        bundle.save(self.releases / bundle.version)

    def promote(self, version: str) -> None:
        move_pointer(self.releases, version, reason="test", now=utc_now())

    def recsys(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        return subprocess.run(
            [sys.executable, "-c", RECSYS, *words],
            env={**self.environment, **more},
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )


@dataclass
class Server:
    """A running `recsys serve`.

    lines: what it has said so far, one mapping a line.
    """

    data: DataFolder
    process: subprocess.Popen[str]
    lines: list[Mapping[str, Any]] = field(default_factory=list)

    @classmethod
    def start(cls, data: DataFolder, **more: str) -> Self:
        process = subprocess.Popen(
            [sys.executable, "-c", data.program, "serve"],
            env={**data.environment, **more},
            stderr=subprocess.PIPE,
            text=True,
        )
        server = cls(data, process)
        Thread(target=server._listen, daemon=True).start()
        return server

    @classmethod
    def ready(cls, data: DataFolder, **more: str) -> Self:
        server = cls.start(data, **more)
        wait_until(lambda: server.said("ready") or server.process.poll() is not None, "ready")
        assert server.process.poll() is None, server.lines
        return server

    @property
    def address(self) -> str:
        return str(self.said("ready")[0]["address"])

    @property
    def workers(self) -> list[int]:
        """The processes started by this one, as they are now."""
        return children_of(self.process.pid)

    @property
    def valkey(self) -> int:
        return int((self.data.path / "valkey" / "valkey.pid").read_text())

    def said(self, event: str) -> list[Mapping[str, Any]]:
        return [line for line in list(self.lines) if line.get("event") == event]

    def client(self, *, channels: int = 1) -> RecsysClient:
        return RecsysClient(self.address, channels=channels, timeout_ms=20_000)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(DEADLINE_S)

    def end(self) -> None:
        """Leave nothing behind, whatever state the test left it in."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        if self.process.stderr:
            self.process.stderr.close()

    def _listen(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            try:
                self.lines.append(json.loads(line))
            except ValueError:
                self.lines.append({"event": "text", "text": line})


def children_of(pid: int) -> list[int]:
    """Return the processes that any thread of a process has started; none of one that is gone."""
    found = []
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):
            found += [int(one) for one in listed.read_text().split()]
    return found


def alive(pid: int) -> bool:
    """Return whether a process runs; one that ended and waits to be noticed does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def event(kind: EventType, item: str, user_id: str) -> Event:
    return Event(uuid4().hex, kind, utc_now(), ItemId(item), user_id=user_id)
