"""A whole server killed again and again while events stream in: supervisor, workers, Valkey."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from serving.state.embedded import EmbeddedValkey
from serving.state.keys import Secret, StateKeys
from serving.state.redis_store import RedisSettings, RedisStateStore
from tests.e2e.running import DataFolder, Server, alive, wait_until
from tests.faults.checker import FINE, judged
from tests.faults.model import Model
from tests.faults.place import Place, event_of, verdict
from tests.faults.scale import SEED, runs
from tests.faults.states import wrong_states
from tests.faults.streams import streaming

KILLS = runs(10, 50)  # in each of two parts
CLIENTS = 4
LONGEST_S = 0.6
STARTING_S = 3.0


@pytest.fixture
def data() -> Iterator[DataFolder]:
    path = Path(tempfile.mkdtemp(prefix="rs-"))
    yield DataFolder(path).fill()
    with suppress(FileNotFoundError, ProcessLookupError):
        os.kill(int((path / "valkey" / "valkey.pid").read_text()), signal.SIGKILL)
    shutil.rmtree(path)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(2))
async def test_deaths_of_the_whole_server_lose_double_and_invent_nothing(
    data: DataFolder, part: int
) -> None:
    rng, port = Random(SEED + part), free_port()
    more = {"RECSYS_PORT": str(port)}

    with streaming(f"127.0.0.1:{port}", clients=CLIENTS, seed=SEED + part) as streams:
        for number in range(KILLS):
            live_and_die(data, more, rng, starting=number % 2 == 1)
        server = Server.ready(data, **more)
        before = len(streams.journal.acknowledged)
        wait_until(lambda: len(streams.journal.acknowledged) > before, "events taken again")
    assert server.stop() == 0
    server.end()

    journal, place = streams.journal, Place(data.path)
    assert len(journal.acknowledged) > KILLS
    assert streams.n_unavailable > 0
    assert verdict(place, journal) == FINE
    place.drain()
    kept = [event_id for _, event_id in place.in_lake()]
    assert judged(journal, kept) == FINE
    assert place.in_snapshot() == place.ties_in_lake()
    assert await states_off(data, place, kept) == []


def live_and_die(data: DataFolder, more: dict[str, str], rng: Random, *, starting: bool) -> None:
    """Start a server and kill it at a moment of chance, while it starts or when it is ready.

    Half of the time its Valkey dies with it.
    """
    server = Server.start(data, **more)
    if not starting:
        wait_until(lambda: server.said("ready"), "ready")
    time.sleep(rng.uniform(0, STARTING_S if starting else LONGEST_S))
    os.kill(server.process.pid, signal.SIGSTOP)  # so that no child is born unseen
    doomed = [server.process.pid, *server.workers]
    with suppress(FileNotFoundError):
        doomed += [server.valkey] if rng.random() < 0.5 else []
    for pid in doomed:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(alive(pid) for pid in doomed), "death")
    server.end()


async def states_off(data: DataFolder, place: Place, kept: list[str]) -> list[object]:
    """Return the customers whose state, as the server left it, is not what the lake says."""
    valkey = EmbeddedValkey.start_or_adopt(data.path)
    keys = StateKeys(Secret.load_or_create(data.path / "secret"))
    store = RedisStateStore(valkey.address, keys, RedisSettings(read_timeout_ms=10_000))
    model = Model(event_of(event_id) for event_id in kept)
    wrong: list[object] = list(await wrong_states(place, store, model, keys))
    await store.close()
    valkey.stop()
    return wrong


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
