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

from recsys.customers import IdKind
from recsys.errors import Unavailable
from recsys.events import Event, EventType, Position, Record
from recsys.ids import ItemId
from recsys.state import HEADER, UserState, rows_of_entries
from serving.metrics import Registry, StateMetrics, totals
from serving.state.address import parse_redis_url
from serving.state.embedded import EmbeddedValkey
from serving.state.keys import Secret, StateKey, StateKeys
from serving.state.redis_store import RedisSettings, RedisStateStore, Swap

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
    valkey: EmbeddedValkey,
    keys: StateKeys,
    settings: RedisSettings | None = None,
    metrics: StateMetrics | None = None,
) -> AsyncIterator[RedisStateStore]:
    store = RedisStateStore(valkey.address, keys, settings or PATIENT, metrics=metrics)
    try:
        yield store
    finally:
        await store.close()


def raw_client(valkey: EmbeddedValkey) -> Redis:
    return Redis(unix_socket_path=str(valkey.socket))


def anna_of(keys: StateKeys) -> StateKey:
    return keys.customer(IdKind.USER, "anna")


async def purchases_of(store: RedisStateStore, key: StateKey) -> list[int]:
    """Return the rows of what a customer bought; a `bought` event has its position's."""
    (state,) = await store.read([[key]])
    return [int(row) for row in rows_of_entries(state.purchases)]


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


@pytest.mark.parametrize(
    "damage", [b"", b"torn", b"x" * HEADER.size, UserState.unknown().to_bytes() + b"x" * 11]
)
async def test_bytes_that_are_no_state_count_as_nobody_are_counted_and_written_over(
    valkey: EmbeddedValkey, keys: StateKeys, damage: bytes
) -> None:
    registry = Registry()
    async with opened(valkey, keys, metrics=StateMetrics.of(registry)) as store:
        await store.apply([bought(1)])
        with raw_client(valkey) as client:
            client.set(anna_of(keys), damage)

        damaged = await purchases_of(store, anna_of(keys))
        count = totals(registry)["states_damaged"]
        await store.apply([bought(2), bought(3, user="bert")])
        healed = await purchases_of(store, anna_of(keys))

    assert (damaged, count, healed) == ([], 1, [2])


async def test_value_of_another_type_is_nobody_and_stops_no_other_customer(
    valkey: EmbeddedValkey, keys: StateKeys
) -> None:
    bert = keys.customer(IdKind.USER, "bert")
    async with opened(valkey, keys) as store:
        with raw_client(valkey) as client:
            client.hset(anna_of(keys), "history", b"of an older format")

        before = await purchases_of(store, anna_of(keys))
        await store.apply([bought(1), bought(2, user="bert")])

        assert before == []
        assert await purchases_of(store, anna_of(keys)) == [1]
        assert await purchases_of(store, bert) == [2]


async def test_every_key_but_the_position_expires(valkey: EmbeddedValkey, keys: StateKeys) -> None:
    async with opened(valkey, keys) as store:
        await store.apply([bought(n, user=f"u{n}") for n in range(1, 9)])
        await store.set_applied_through(Position(8), expected=None)
        one, nine = keys.customer(IdKind.USER, "u1"), keys.customer(IdKind.USER, "u9")
        (stored,) = await store.values([one])
        made = await store.replace([Swap(one, stored, b"new"), Swap(nine, None, b"new")])

    with raw_client(valkey) as client:
        names = [key.decode() for key in client.scan_iter(match=f"{keys.prefix}*", count=1_000)]
        forever = [name for name in names if int(client.ttl(name)) < 0]
    assert made == [True, True]
    assert len(names) == 10
    assert forever == [keys.shared("applied_through")]


async def test_state_is_replaced_only_where_the_expected_one_stands(
    valkey: EmbeddedValkey, keys: StateKeys
) -> None:
    anna, bert = anna_of(keys), keys.customer(IdKind.USER, "bert")
    async with opened(valkey, keys) as store:
        new = await store.replace([Swap(anna, None, b"1"), Swap(bert, b"other", b"1")])
        again = await store.replace([Swap(anna, None, b"2"), Swap(bert, None, b"2")])
        after = await store.values([anna, bert])
        gone = await store.replace([Swap(anna, b"1", None), Swap(bert, b"1", None)])

        assert (new, again, gone) == ([True, False], [False, True], [True, False])
        assert after == [b"1", b"2"]
        assert await store.values([anna, bert]) == [None, b"2"]


async def test_stored_keys_are_those_of_customers_of_this_prefix_and_of_any_format(
    valkey: EmbeddedValkey,
) -> None:
    keys = StateKeys(SECRET, "shop[1]*:")
    name = "{" + "0f" * 16 + "}"
    old, newer = f"shop[1]*:{name}", f"shop[1]*:4:{name}"
    foreign = [f"shop1x:3:{name}", f"shop[1]*:other:3:{name}", "shop[1]*:3:{0f}"]
    async with opened(valkey, keys) as store:
        await store.apply([bought(n, user=f"u{n}") for n in range(1, 9)])
        await store.set_applied_through(Position(8), expected=None)
        with raw_client(valkey) as client:
            client.mset(dict.fromkeys([old, newer, *foreign], b""))
        found = {key async for step in store.stored_keys() for key in step}

    assert found == {old, *(keys.customer(IdKind.USER, f"u{n}") for n in range(1, 9))}


async def test_batch_larger_than_one_call_reads_and_writes_every_customer(
    valkey: EmbeddedValkey, keys: StateKeys
) -> None:
    users = [f"u{n}" for n in range(1, 401)]
    async with opened(valkey, keys) as store:
        await store.apply([bought(n, user=user) for n, user in enumerate(users, start=1)])

        states = await store.read([[keys.customer(IdKind.USER, user)] for user in users])

    rows = [rows_of_entries(state.purchases).tolist() for state in states]
    assert rows == [[n] for n in range(1, 401)]


async def test_reading_no_keys_needs_no_redis(keys: StateKeys) -> None:
    store = RedisStateStore(parse_redis_url("unix:///nowhere/valkey.sock"), keys)

    states = await store.read([[], []])

    assert [bool(state) for state in states] == [False, False]
    await store.close()


async def test_a_batch_of_reads_is_one_round_trip(valkey: EmbeddedValkey, keys: StateKeys) -> None:
    queries = [[keys.customer(IdKind.USER, f"u{n}")] for n in range(96)]

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

        assert await purchases_of(store, anna_of(keys)) == [2, 1]


async def test_a_stopped_redis_is_unavailable_at_once_and_used_again_once_it_is_back(
    server: EmbeddedValkey, keys: StateKeys
) -> None:
    async with opened(server, keys) as store:
        await store.apply([bought(1)])
        await store.set_applied_through(Position(1), expected=None)
        await store.read([[anna_of(keys)]])
        server.stop()

        began = time.monotonic()
        for use in (store.read([[anna_of(keys)]]), store.apply([bought(2)])):
            with pytest.raises(Unavailable, match="cannot be used"):
                await use
        took_s = time.monotonic() - began
        again = EmbeddedValkey.start_or_adopt(server.folder.parent)
        await store.apply([bought(2)])

        assert took_s < 1
        assert again.started
        assert await purchases_of(store, anna_of(keys)) == [2, 1]
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
        assert (await purchases_of(store, anna_of(keys)))[-1] == 1


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
        assert await purchases_of(store, anna_of(keys)) == [1]


async def test_a_cancelled_read_never_gives_its_answer_to_another_caller(
    valkey: EmbeddedValkey, keys: StateKeys
) -> None:
    chance = random.Random(5)
    settings = RedisSettings(read_timeout_ms=20_000, connections=4)
    async with opened(valkey, keys, settings) as store:
        await store.apply([bought(n, user=f"u{n}") for n in range(1, 201)])

        async def read_one(n: int) -> tuple[int, list[int]]:
            return n, await purchases_of(store, keys.customer(IdKind.USER, f"u{n}"))

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
