from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import shop
from tests.e2e.running import DataFolder, Server, alive


def _folder() -> Iterator[DataFolder]:
    path = Path(tempfile.mkdtemp(prefix="rs-"))
    yield DataFolder(path).fill()
    pid_file = path / "valkey" / "valkey.pid"
    if pid_file.exists() and alive(pid := int(pid_file.read_text())):
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(path)


@pytest.fixture
def data() -> Iterator[DataFolder]:
    """Give a data folder without a release."""
    yield from _folder()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Give a server of two workers that serves release v1; shared by the tests of a module."""
    for data in _folder():
        data.publish(shop.bundle("v1"))
        data.promote("v1")
        server = Server.ready(data)
        yield server
        server.end()
