from __future__ import annotations

import asyncio
import itertools
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from redis import Redis

from recsys.errors import Unavailable
from recsys.events import Event, EventType, Position, Record
from recsys.ids import ItemId
from serving.state.address import parse_redis_url
from serving.state.embedded import EmbeddedValkey
from serving.state.keys import IdKind, Secret, StateKey, StateKeys
from serving.state.redis_store import RedisSettings, RedisStateStore

START = datetime(2024, 5, 1, tzinfo=UTC)
SECRET = Secret(bytes(32))
PATIENT = RedisSettings(read_timeout_ms=5_000)  # where time is not the subject
prefixes = (f"store{n}:" for n in itertools.count())


def bought(position: int, *, user: str = "anna") -> Record:
    time = START + timedelta(seconds=position)
    event = Event(f"e{position}", EventType.PURCHASE, time, ItemId("i"), user_id=user)
    return Record(event, position, item_row=position)


@pytest.fixture
def keys() -> StateKeys:
    return StateKeys(SECRET, next(prefixes))


@pytest.fixture
def server(short_folder: Path) -> Iterator[EmbeddedValkey]:
    """Give a Valkey of the test's own, to be broken."""
    started = EmbeddedValkey.start_or_adopt(short_folder)
    yield started
    started.stop()


@asynccontextmanager
async def opened(
    valkey: EmbeddedValkey, keys: StateKeys, settings: RedisSettings | None = None
) -> AsyncIterator[RedisStateStore]:
    store = RedisStateStore(valkey.address, keys, settings or PATIENT)
    try:
        yield store
    finally:
        await store.close()


def raw_client(valkey: EmbeddedValkey) -> Redis:
    return Redis(unix_socket_path=str(valkey.socket))


def anna_of(keys: StateKeys) -> StateKey:
    return keys.customer(IdKind.USER, "anna")


async def positions_of(store: RedisStateStore, key: StateKey) -> list[int]:
    (state,) = await store.read([[key]])
    return [int(position) for position in state.purchases["position"]]


async def test_a_customer_expires_the_configured_days_after_the_last_event(
    valkey: EmbeddedValkey, keys: StateKeys
) -> None:
    async with opened(valkey, keys, RedisSettings(expiry_days=3)) as store:
        await store.apply([bought(1)])

    with raw_client(valkey) as client:
        assert 3 * 86_400 - 60 < int(client.ttl(anna_of(keys))) <= 3 * 86_400


async def test_a_record_applied_again_does_not_extend_the_life_of_its_customer(
    valkey: EmbeddedValkey, keys: StateKeys
) -> None:
    async with opened(valkey, keys) as store:
        await store.apply([bought(1)])
        with raw_client(valkey) as client:
            client.expire(anna_of(keys), 1_000)
            await store.apply([bought(1)])
            assert int(client.ttl(anna_of(keys))) <= 1_000


async def test_bytes_that_are_no_entries_count_as_an_empty_facet_and_are_counted(
    valkey: EmbeddedValkey, keys: StateKeys
) -> None:
    async with opened(valkey, keys) as store:
        await store.apply([bought(1)])
        with raw_client(valkey) as client:
            client.hset(anna_of(keys), "history", b"torn")

        (damaged,) = await store.read([[anna_of(keys)]])
        count = store.damaged_facets
        await store.apply([bought(2)])
        (healed,) = await store.read([[anna_of(keys)]])

    assert (len(damaged.history), len(damaged.purchases), count) == (0, 1, 1)
    assert (len(healed.history), len(healed.purchases)) == (1, 2)


async def test_reading_no_keys_needs_no_redis(keys: StateKeys) -> None:
    store = RedisStateStore(parse_redis_url("unix:///nowhere/valkey.sock"), keys)

    states = await store.read([[], []])

    assert [bool(state) for state in states] == [False, False]
    await store.close()


async def test_a_batch_of_reads_is_one_round_trip(valkey: EmbeddedValkey, keys: StateKeys) -> None:
    queries = [[keys.customer(IdKind.USER, f"u{n}")] for n in range(32)]

    async with opened(valkey, keys) as store:
        await store.read(queries)
        with raw_client(valkey) as client:
            before = int(client.info("stats")["total_reads_processed"])
            await store.read(queries)
            after = int(client.info("stats")["total_reads_processed"])

    assert after - before == 2  # the batch, and the second question itself


async def test_a_flushed_script_cache_is_filled_again(
    valkey: EmbeddedValkey, keys: StateKeys
) -> None:
    async with opened(valkey, keys) as store:
        await store.apply([bought(1)])
        with raw_client(valkey) as client:
            client.script_flush()
        await store.apply([bought(2)])

        assert await positions_of(store, anna_of(keys)) == [2, 1]


async def test_a_stopped_redis_is_unavailable_at_once_and_used_again_once_it_is_back(
    server: EmbeddedValkey, keys: StateKeys
) -> None:
    async with opened(server, keys) as store:
        await store.apply([bought(1)])
        await store.set_applied_through(Position(1))
        await store.read([[anna_of(keys)]])
        server.stop()

        began = time.monotonic()
        for use in (store.read([[anna_of(keys)]]), store.apply([bought(2)]), store.ping()):
            with pytest.raises(Unavailable, match="cannot be used"):
                await use
        took_s = time.monotonic() - began
        again = EmbeddedValkey.start_or_adopt(server.folder.parent)
        await store.apply([bought(2)])

        assert took_s < 1
        assert again.started
        assert await positions_of(store, anna_of(keys)) == [2, 1]
        assert await store.applied_through() == 1


async def test_a_hung_redis_is_unavailable_within_the_timeout_and_used_again_when_it_wakes(
    server: EmbeddedValkey, keys: StateKeys
) -> None:
    settings = RedisSettings(read_timeout_ms=60, write_timeout_ms=200)
    pid = int((server.folder / "valkey.pid").read_text())
    async with opened(server, keys, settings) as store:
        await store.apply([bought(1)])
        os.kill(pid, signal.SIGSTOP)

        began = time.monotonic()
        reads = [store.read([[anna_of(keys)]]) for _ in range(100)]
        answers = await asyncio.gather(*reads, return_exceptions=True)
        took_s = time.monotonic() - began
        with pytest.raises(Unavailable):
            await store.apply([bought(2)])
        os.kill(pid, signal.SIGCONT)
        await asyncio.sleep(0.1)

        assert all(isinstance(answer, Unavailable) for answer in answers)
        assert took_s < 1
        assert (await positions_of(store, anna_of(keys)))[-1] == 1


async def test_a_full_redis_refuses_writes_as_unavailable_and_still_reads(
    server: EmbeddedValkey, keys: StateKeys
) -> None:
    async with opened(server, keys) as store:
        await store.apply([bought(1)])
        with raw_client(server) as client:
            client.config_set("maxmemory", "1")

        with pytest.raises(Unavailable, match="OutOfMemory") as raised:
            await store.apply([bought(2)])

        assert raised.value.reason == "STATE_UNAVAILABLE"
        assert await positions_of(store, anna_of(keys)) == [1]


async def test_a_cancelled_read_never_gives_its_answer_to_another_caller(
    valkey: EmbeddedValkey, keys: StateKeys
) -> None:
    chance = random.Random(5)
    settings = RedisSettings(read_timeout_ms=20_000, connections=4)
    async with opened(valkey, keys, settings) as store:
        await store.apply([bought(n, user=f"u{n}") for n in range(1, 201)])

        async def read_one(n: int) -> tuple[int, list[int]]:
            return n, await positions_of(store, keys.customer(IdKind.USER, f"u{n}"))

        async def read_or_cancel(n: int) -> tuple[int, list[int]] | None:
            task = asyncio.ensure_future(read_one(n))
            if chance.random() < 0.5:
                asyncio.get_running_loop().call_later(chance.random() * 0.3, task.cancel)
            with suppress(asyncio.CancelledError):
                return await task
            return None

        answers = await asyncio.gather(*(read_or_cancel(n % 200 + 1) for n in range(2_000)))
        afterwards = await asyncio.gather(*(read_one(n) for n in range(1, 201)))

    answered = [answer for answer in answers if answer is not None]
    assert 0 < len(answered) < 2_000
    assert all(found == [n] for n, found in [*answered, *afterwards])


async def test_settings_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="read_timeout_ms"):
        RedisSettings(read_timeout_ms=0)
