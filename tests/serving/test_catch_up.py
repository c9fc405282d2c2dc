from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from recsys.events import Event, EventType, Position, Record
from recsys.ids import ItemId
from recsys.state import UserState
from serving import catch_up
from serving.catch_up import CatchUp
from serving.log.drain import Drain
from serving.log.lake import Lake
from serving.log.records import Lines
from serving.log.replay import recent_customers
from serving.log.tail import LogTail
from serving.log.writer import Writer
from serving.state.embedded import EmbeddedValkey
from serving.state.keys import Secret, StateKeys
from serving.state.redis_store import RedisStateStore

START = datetime(2026, 3, 1, tzinfo=UTC)
prefixes = (f"catch{n}:" for n in count())


@dataclass
class House:
    """A log, its lake, and an empty store."""

    path: Path
    store: RedisStateStore
    keys: StateKeys

    def append(self, events: Sequence[Event]) -> None:
        writer = Writer(self.path / "log.sqlite", clock=lambda: START)
        writer.append(Lines.of([Record(event) for event in events]))
        writer.close()

    def drain(self, *, trim_through: int = 0) -> int:
        lake = Lake(self.path / "lake")
        lake.open()
        tail = LogTail(self.path / "log.sqlite")
        drain = Drain(tail, lake, self.path / "releases")
        list(drain.run())
        trimmed = drain.trim(Position(trim_through))
        tail.close()
        return trimmed

    async def catch_up(self) -> int:
        async with CatchUp(self.path / "log.sqlite", self.path / "lake", self.store) as one:
            return await one.run(lambda done, of: None)

    async def states(self, events: Sequence[Event]) -> list[UserState]:
        keys = sorted({self.keys.of_event(event) for event in events})
        return list(await self.store.read([(key,) for key in keys]))


@pytest.fixture
async def house(valkey: EmbeddedValkey, tmp_path: Path) -> AsyncIterator[House]:
    keys = StateKeys(Secret(bytes(range(32))), next(prefixes))
    store = RedisStateStore(valkey.address, keys)
    yield House(tmp_path, store, keys)
    await store.close()


def events(n: int, *, first: int = 0) -> list[Event]:
    """Return events of users, visitors and sessions, of every type in turn."""
    kinds, owners = list(EventType), ("user_id", "visitor_id", "session_id")
    return [
        Event(
            f"e{place}",
            kinds[place % len(kinds)],
            START + timedelta(hours=place),
            ItemId(f"i{place % 7}"),
            quantity=1.0 + place % 3,
            **{owners[place % 3]: f"c{place % 11}"},  # type: ignore[arg-type]
        )
        for place in range(first, first + n)
    ]


def same(some: Sequence[UserState], others: Sequence[UserState]) -> bool:
    pairs = zip(some, others, strict=True)
    return all(
        np.array_equal(one.history, other.history)
        and np.array_equal(one.purchases, other.purchases)
        and np.array_equal(one.opinions, other.opinions)
        for one, other in pairs
    )


async def test_everything_in_the_log_is_applied(house: House) -> None:
    house.append(events(60))

    position = await house.catch_up()

    states = await house.states(events(60))
    assert (position, await house.store.applied_through()) == (60, 60)
    assert sum(len(state.history) for state in states) == 52  # 8 of 60 are impressions


async def test_lake_gives_the_states_that_the_log_gives(
    house: House, valkey: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.append(events(200))
    await house.catch_up()
    house.drain()
    monkeypatch.setattr(catch_up, "FAR_BEHIND", 0)
    keys = StateKeys(house.keys.secret, next(prefixes))
    again = House(house.path, RedisStateStore(valkey.address, keys), keys)

    position = await again.catch_up()

    assert (position, await again.store.applied_through()) == (200, 200)
    by_log = [await house.store.read([(house.keys.of_event(one),)]) for one in events(33)]
    by_lake = [await again.store.read([(keys.of_event(one),)]) for one in events(33)]
    await again.store.close()
    assert same([one for (one,) in by_lake], [one for (one,) in by_log])


async def test_store_that_was_emptied_is_filled_from_lake_and_log(
    house: House, valkey: EmbeddedValkey
) -> None:
    house.append(events(100))
    trimmed = house.drain(trim_through=100)
    house.append(events(20, first=100))

    position = await house.catch_up()

    states = await house.states(events(120))
    assert (trimmed, position) == (100, 120)
    assert sum(len(state.history) for state in states) == 105  # 15 of 120 are impressions


async def test_second_run_finds_nothing_to_do_and_changes_nothing(house: House) -> None:
    house.append(events(50))
    await house.catch_up()
    before = await house.states(events(50))

    position = await house.catch_up()

    assert position == 50
    assert same(await house.states(events(50)), before)


async def test_new_log_is_caught_up_with_at_once(house: House) -> None:
    assert await house.catch_up() == 0
    assert await house.store.applied_through() is None


async def test_recent_customers_come_newest_first(house: House) -> None:
    house.append(events(60))
    house.drain()

    # Users are at places 0, 3, 6, ...: the newest of them are at 57, 54 and 51.
    assert recent_customers(house.path / "lake", 3) == ["c2", "c10", "c7"]


def test_lake_that_is_not_there_knows_no_customer(tmp_path: Path) -> None:
    assert recent_customers(tmp_path / "lake", 3) == []
