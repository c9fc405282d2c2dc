from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from serving.ingest import Ingest
from serving.log.sqlite_log import SqliteLog
from serving.state.embedded import EmbeddedValkey
from serving.state.redis_store import RedisStateStore
from tests.faults.nursery import Nursery
from tests.faults.place import START, Place
from tests.faults.proxy import proxied
from tests.faults.scale import FULL, SEED
from tests.faults.states import keys_of
from tests.faults.troubled import IMPATIENT, PREFIX, House

_FULL_TIMEOUT_S = 3_600


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the full number of runs the time it takes, whatever the test says of its usual ones."""
    if FULL:
        for item in items:
            item.add_marker(pytest.mark.timeout(_FULL_TIMEOUT_S), append=False)


@pytest.fixture(autouse=True)
def _seed_is_said() -> None:
    print(f"RECSYS_FAULT_SEED={SEED}")


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Give a process that forks children to be killed."""
    opened = Nursery.open()
    yield opened
    opened.close()


@pytest.fixture
def own_valkey() -> Iterator[EmbeddedValkey]:
    """Give a Valkey that may be killed, filled and flushed."""
    folder = Path(tempfile.mkdtemp(prefix="rs-"))
    server = EmbeddedValkey.start_or_adopt(folder)
    yield server
    server.kill()
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture
async def house(
    own_valkey: EmbeddedValkey, short_folder: Path, tmp_path: Path
) -> AsyncIterator[House]:
    place = Place(tmp_path)
    with proxied(own_valkey.socket, short_folder / "proxy.sock") as proxy:
        store = RedisStateStore(proxy.address, keys_of(PREFIX), IMPATIENT)
        log = SqliteLog(place.log_file, clock=lambda: START)
        ingest = Ingest(log, store, lambda: START)
        yield House(place, log, store, ingest, proxy, own_valkey)
        await log.close()
        await store.close()
