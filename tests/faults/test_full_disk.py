"""A real server on a disk of its own that fills up: a small file system in memory."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import pytest

from recsys.errors import Unavailable
from tests import shop
from tests.e2e.running import RECSYS, DataFolder, Server, wait_until
from tests.faults.checker import FINE
from tests.faults.place import Place, events, verdict
from tests.faults.scale import SEED
from tests.faults.streams import streaming

ON_A_SMALL_DISK = """
mount -t tmpfs -o size="$2" none "$1" && cp -a "$0/." "$1" && exec "$3" -c "$4" serve
"""
IN_A_NAME_SPACE = ("unshare", "-Urm", "sh", "-c", ON_A_SMALL_DISK)
SIZE = "48m"
PIECE = b"x" * 65_536


def mounts_are_ours() -> bool:
    """Return whether a process may have mounts of its own here, as root or in a name space."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return False
    asked = ["unshare", "-Urm", "mount", "-t", "tmpfs", "none", tempfile.gettempdir()]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


@pytest.fixture
def server() -> Iterator[Server]:
    """Give a server whose data folder is a small disk; only its own processes see that."""
    source, mounted = (Path(tempfile.mkdtemp(prefix="rs-")) for _ in range(2))
    prepared = DataFolder(source).fill()
    prepared.publish(shop.bundle("v1"))
    prepared.promote("v1")
    environment = {
        **prepared.environment,
        **DataFolder(mounted).environment,
        "RECSYS_WORKERS": "1",
    }
    process = subprocess.Popen(
        [*IN_A_NAME_SPACE, str(source), str(mounted), SIZE, sys.executable, RECSYS],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    started = Server(DataFolder(mounted), process)
    Thread(target=started._listen, daemon=True).start()
    wait_until(lambda: started.said("ready") or process.poll() is not None, "ready")
    assert process.poll() is None, started.lines
    yield started
    started.end()
    for folder in (source, mounted):
        shutil.rmtree(folder)


def seen_from_inside(server: Server) -> Path:
    """Return the data folder as the server sees it."""
    return Path(f"/proc/{server.process.pid}/root{server.data.path}")


def fill(folder: Path) -> Path:
    """Take all the room there is; return the file that has it."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(PIECE):
            pass
    return filler


@contextmanager
def stopped(server: Server) -> Iterator[None]:
    """Let nothing move on the server's disk while the block runs."""
    processes = [server.process.pid, *server.workers]
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in processes:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.skipif(not mounts_are_ours(), reason="no file system can be mounted here unprivileged")
@pytest.mark.timeout(300)
def test_full_disk_refuses_events_goes_on_recommending_and_recovers_by_itself(
    server: Server, tmp_path: Path
) -> None:
    folder = seen_from_inside(server)

    with streaming(server.address, clients=2, seed=SEED) as streams:
        wait_until(lambda: len(streams.journal.acknowledged) > 200, "events are taken")
        filler = fill(folder)
        refused = streams.n_unavailable
        wait_until(lambda: streams.n_unavailable > refused + 20, "events are refused")
        with server.client() as client:
            answers = [client.recommend("home", user_id=f"c{one}") for one in range(50)]
            with pytest.raises(Unavailable) as caught:
                client.write_events(events(0, 0, "asked-"))
        filler.unlink()
        acknowledged = len(streams.journal.acknowledged)
        wait_until(lambda: len(streams.journal.acknowledged) > acknowledged + 200, "taken again")

    assert caught.value.reason == "LOG_UNAVAILABLE"
    assert all(answer.item_ids for answer in answers)
    assert server.said("worker died and is replaced") == []
    with stopped(server):
        shutil.copytree(folder, tmp_path / "data", ignore=shutil.ignore_patterns("*.sock", "*-shm"))
    assert verdict(Place(tmp_path / "data"), streams.journal) == FINE
