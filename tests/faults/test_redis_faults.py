"""Redis in every kind of trouble: events are taken all the while, and none is missing after."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from contextlib import suppress

import pytest
from redis import Redis

from recsys.errors import Unavailable
from recsys.events import Record
from serving.catch_up import CatchUp
from serving.lake import replay
from serving.state.embedded import EmbeddedValkey
from tests.faults.checker import FINE, Journal
from tests.faults.model import Model
from tests.faults.place import events, verdict
from tests.faults.proxy import Trouble
from tests.faults.states import keys_of, store_at, wrong_states
from tests.faults.troubled import PREFIX, House

SLOW_S = 0.5


@pytest.mark.parametrize(
    "trouble", [one for one in Trouble if one not in (Trouble.NONE, Trouble.LATE)]
)
async def test_events_are_taken_while_the_way_to_redis_is_broken(
    house: House, trouble: Trouble
) -> None:
    before = await house.write(0, 49)
    house.proxy.trouble, house.proxy.delay_s = trouble, SLOW_S
    during, readable = await house.write(50, 74), await house.readable()
    house.proxy.trouble = Trouble.NONE
    after = await house.write(75, 99)

    assert (before, during, after) == (50, 25, 25)
    assert not readable
    assert await house.readable()
    assert verdict(house.place, Journal.of(events(0, 99), events(0, 99))) == FINE
    assert await house.missing(99) == []


async def test_redis_that_is_late_loses_nothing(house: House) -> None:
    house.proxy.trouble, house.proxy.delay_s = Trouble.LATE, 0.02

    accepted = await house.write(0, 49)

    assert accepted == 50
    assert await house.missing(49) == []


def hang(valkey: EmbeddedValkey) -> Callable[[], None]:
    """Stop the server's process; return what wakes it."""
    pid = int((valkey.folder / "valkey.pid").read_text())
    os.kill(pid, signal.SIGSTOP)
    return lambda: os.kill(pid, signal.SIGCONT)


def die(valkey: EmbeddedValkey) -> Callable[[], None]:
    """Kill the server; return what starts it over what it had."""
    valkey.kill()
    return lambda: start_again(valkey)


def die_and_forget(valkey: EmbeddedValkey) -> Callable[[], None]:
    """Kill the server and delete what it had; return what starts it."""
    valkey.kill()
    shutil.rmtree(valkey.folder / "appendonlydir")
    return lambda: start_again(valkey)


def die_and_forget_the_end(valkey: EmbeddedValkey) -> Callable[[], None]:
    """Kill the server and cut its file short, as a power cut does; return what starts it."""
    valkey.kill()
    (newest,) = (valkey.folder / "appendonlydir").glob("*.incr.aof")
    os.truncate(newest, newest.stat().st_size // 2)
    return lambda: start_again(valkey)


def fill(valkey: EmbeddedValkey) -> Callable[[], None]:
    """Leave the server no memory for more; return what gives it some."""
    said(valkey).config_set("maxmemory", "1")

    def give_room() -> None:
        said(valkey).config_set("maxmemory", "0")

    return give_room


def flush(valkey: EmbeddedValkey) -> Callable[[], None]:
    """Delete everything; there is nothing to be mended."""
    said(valkey).flushall()
    return lambda: None


def said(valkey: EmbeddedValkey) -> Redis:
    return Redis(unix_socket_path=str(valkey.socket), socket_timeout=5.0)


def start_again(valkey: EmbeddedValkey) -> None:
    EmbeddedValkey.start_or_adopt(valkey.folder.parent)


@pytest.mark.parametrize("harm", [hang, die, die_and_forget, die_and_forget_the_end, fill, flush])
async def test_events_are_taken_while_redis_is_harmed_and_none_is_missing_after(
    house: House, harm: Callable[[EmbeddedValkey], Callable[[], None]]
) -> None:
    before = await house.write(0, 49)
    await house.missing(49)
    house.place.drain(trim=True)
    mend = harm(house.valkey)
    during = await house.write(50, 74)
    mend()
    after = await house.write(75, 99)

    assert (before, during, after) == (50, 25, 25)
    assert verdict(house.place, Journal.of(events(0, 99), events(0, 99))) == FINE
    assert await house.missing(99) == []


async def test_store_flushed_in_the_middle_of_catching_up_gets_everything_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "_RECORDS_A_STEP", 10)
    await house.log.append([Record(one) for one in events(0, 99)])
    store, flushed = store_at(house.valkey.address, PREFIX), list[int]()

    def told(done: int, of: int) -> None:
        if done >= 50 and not flushed:
            flush(house.valkey)
            flushed.append(done)

    async with CatchUp(house.place.log_file, house.place.lake, store) as one:
        with suppress(Unavailable):  # it says that the store was emptied, and is run again
            await one.run(told)
        position = await one.run(told)

    wrong = await wrong_states(house.place, store, Model(events(0, 99)), keys_of(PREFIX))
    await store.close()
    assert (position, flushed) == (100, [50])
    assert wrong == []
