"""The demo's server: started as a user would, stopped, and killed as a power cut would."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ENDING_S = 30


class ServerEnded(Exception):
    """The server ended before it was ready; the message is the end of its log."""


class ShopServer:
    """One `recsys serve` over a data folder. Its log goes to serve.log in there."""

    def __init__(self, data: Path, say: Callable[[str], None]) -> None:
        self._data = data
        self._say = say
        self._process: subprocess.Popen[str] | None = None

    @property
    def process(self) -> subprocess.Popen[str]:
        """The supervisor."""
        if self._process is None:
            raise ValueError("the server was never started")
        return self._process

    def start(self) -> None:
        """Return once the server is ready. Raises ServerEnded."""
        log = self._data / "serve.log"
        with log.open("a") as errors:
            self._process = subprocess.Popen(
                [recsys(), "serve"], stdout=subprocess.PIPE, stderr=errors, text=True
            )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._say(line.rstrip())
            if line.startswith("ready"):
                return
        raise ServerEnded(log.read_text()[-2_000:])

    def kill(self) -> None:
        """End supervisor, workers and Valkey at once, with nothing written down by any of them."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        valkey = (self._data / "valkey" / "valkey.pid").read_text()
        for pid in (self.process.pid, *map(int, children.split()), int(valkey)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """End the server as Ctrl-C does, and whatever does not end in time."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=ENDING_S)
        self._process.kill()


@contextmanager
def serving(data: Path, say: Callable[[str], None]) -> Iterator[ShopServer]:
    """Give a server that is ready; all of it is gone when the block ends."""
    server = ShopServer(data, say)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def recsys() -> str:
    """Return the command as installed beside this Python."""
    return str(Path(sys.executable).parent / "recsys")
