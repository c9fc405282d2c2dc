from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import pytest

from recsys.customers import IdKind
from recsys.errors import Unavailable
from recsys.events import WITHOUT_ITEM, Event, EventType, Position, Record
from recsys.ids import ItemId
from recsys.state import UserState
from serving.catch_up import CatchUp
from serving.lake import replay
from serving.lake.drain import Drain
from serving.lake.lake import Lake
from serving.log.records import Lines
from serving.log.tail import LogTail, RawRows
from serving.log.writer import Writer
from serving.state.changes import REMEMBERED, PackedEvents
from serving.state.embedded import EmbeddedValkey
from serving.state.keys import Secret, StateKeys
from serving.state.redis_store import RedisSettings, RedisStateStore, Swap

START = datetime(2026, 3, 1, tzinfo=UTC)
PATIENT = RedisSettings(read_timeout_ms=10_000)
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
        drain = Drain(tail, lake)
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

    async def incomplete(self) -> bool:
        await self.states(events(3))
        return self.store.incomplete


@pytest.fixture
async def house(valkey: EmbeddedValkey, tmp_path: Path) -> AsyncIterator[House]:
    keys = StateKeys(Secret(bytes(range(32))), next(prefixes))
    store = RedisStateStore(valkey.address, keys, PATIENT)
    made = House(tmp_path, store, keys)
    yield made
    await made.store.close()


def events(n: int, *, first: int = 0) -> list[Event]:
    """Return events of users, visitors and sessions, of every type in turn."""
    return [event(place) for place in range(first, first + n)]


def event(place: int) -> Event:
    kind, owner = list(EventType)[place % len(EventType)], list(IdKind)[place % 3]
    return Event(
        f"e{place}",
        kind,
        START + timedelta(hours=place, microseconds=1_234 * place),
        ItemId("" if kind in WITHOUT_ITEM else f"i{place % 7}"),
        quantity=0.5 + place % 3,
        rating=1.0 + place % 5 if kind is EventType.RATING else None,
        **{f"{owner.value}_id": f"c{place % 11}"},  # type: ignore[arg-type]
    )


def n_remembered(some: Sequence[Event]) -> int:
    return sum(one.type in REMEMBERED for one in some)


def n_entries(states: Sequence[UserState]) -> int:
    return sum(len(entries) for state in states for entries in state.facets)


def same(some: Sequence[UserState], others: Sequence[UserState]) -> bool:
    return [one.to_bytes() for one in some] == [one.to_bytes() for one in others]


async def test_everything_in_the_log_is_applied(house: House) -> None:
    house.append(events(60))

    position = await house.catch_up()

    states = await house.states(events(60))
    assert (position, await house.store.applied_through()) == (60, 60)
    assert n_entries(states) == n_remembered(events(60))


async def test_log_read_by_columns_gives_the_states_that_its_records_give(
    house: House, valkey: EmbeddedValkey
) -> None:
    house.append(events(200))
    tail = LogTail(house.path / "log.sqlite")
    records = tail.records(Position(0), 200)
    tail.close()
    await house.store.apply(records)
    by_records = await house.states(events(200))
    keys = StateKeys(house.keys.secret, next(prefixes))
    again = House(house.path, RedisStateStore(valkey.address, keys, PATIENT), keys)

    await again.catch_up()

    by_columns = await again.states(events(200))
    await again.store.close()
    assert same(by_columns, by_records)


async def test_lake_gives_the_states_that_the_log_gives(
    house: House, valkey: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.append(events(200))
    await house.catch_up()
    house.drain()
    monkeypatch.setattr(replay, "FAR_BEHIND", 0)
    keys = StateKeys(house.keys.secret, next(prefixes))
    again = House(house.path, RedisStateStore(valkey.address, keys, PATIENT), keys)

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
    assert n_entries(states) == n_remembered(events(120))


async def test_second_run_finds_nothing_to_do_and_changes_nothing(house: House) -> None:
    house.append(events(50))
    await house.catch_up()
    before = await house.states(events(50))

    position = await house.catch_up()

    assert position == 50
    assert same(await house.states(events(50)), before)


async def test_new_log_is_caught_up_with_at_once(house: House) -> None:
    assert await house.catch_up() == 0
    assert await house.store.applied_through() == 0


class ForgetfulStore(RedisStateStore):
    """A store that once, before a number of steps is noted, loses what it holds.

    before: what it is put back to: the keys and values of an earlier moment, or nothing.
    """

    steps_left = 3
    before: ClassVar[dict[str, bytes]] = {}

    async def apply_packed(self, events: PackedEvents) -> None:
        await super().apply_packed(events)
        self.steps_left -= 1
        if not self.steps_left:
            async for keys in self.stored_keys():
                stored = zip(keys, await self.values(keys), strict=True)
                await self.replace([Swap(key, value, None) for key, value in stored])
            await self._writes.delete(self._keys.shared("applied_through"))
            if self.before:
                await self._writes.mset(self.before)


@pytest.mark.parametrize("steps", [1, 2, 3])
async def test_store_emptied_while_it_is_filled_is_filled_again_from_nothing(
    house: House, valkey: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    monkeypatch.setattr(replay, "_RECORDS_A_STEP", 20)
    house.append(events(60))
    await house.store.close()
    house.store = ForgetfulStore(valkey.address, house.keys, PATIENT)
    house.store.steps_left = steps

    position = await house.catch_up()

    states = await house.states(events(60))
    assert (position, await house.store.applied_through()) == (60, 60)
    assert n_entries(states) == n_remembered(events(60))


async def test_store_that_lost_its_newest_changes_gets_them_again(
    house: House, valkey: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "_RECORDS_A_STEP", 20)
    house.append(events(20))
    await house.catch_up()
    keys = sorted({house.keys.of_event(one) for one in events(20)})
    kept = dict(zip(keys, await house.store.values(keys), strict=True))
    house.append(events(60, first=20))
    await house.store.close()
    house.store = ForgetfulStore(valkey.address, house.keys, PATIENT)
    house.store.before = {  # type: ignore[misc]
        **{key: value for key, value in kept.items() if value},
        house.keys.shared("applied_through"): b"20",
    }

    position = await house.catch_up()

    states = await house.states(events(80))
    assert (position, await house.store.applied_through()) == (80, 80)
    assert n_entries(states) == n_remembered(events(80))


async def test_events_trimmed_while_they_are_read_come_from_the_lake(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.append(events(60))

    def rows_of_a_trimmed_log(tail: LogTail, *wanted: Any) -> RawRows:
        monkeypatch.undo()
        house.drain(trim_through=60)
        return tail.events(*wanted)

    monkeypatch.setattr(LogTail, "events", rows_of_a_trimmed_log)

    position = await house.catch_up()

    assert position == 60
    assert n_entries(await house.states(events(60))) == n_remembered(events(60))


class LosingStore(RedisStateStore):
    """Loses everything at each step, as a store that evicts."""

    async def set_applied_through(self, position: Position, expected: Position | None) -> bool:
        return False if expected is not None else await super().set_applied_through(position, None)


async def test_store_that_keeps_losing_what_it_holds_is_given_up_for_now(house: House) -> None:
    house.append(events(30))
    losing = LosingStore(house.store._address, house.keys, PATIENT)

    async with CatchUp(house.path / "log.sqlite", house.path / "lake", losing) as one:
        with pytest.raises(Unavailable, match="noeviction") as raised:
            await one.run(lambda done, of: None)

    await losing.close()
    assert raised.value.reason == "STATE_LOST"


async def test_store_is_incomplete_from_its_loss_until_it_is_filled(house: House) -> None:
    house.append(events(30))
    told: list[bool] = []
    lost = await house.incomplete()

    async def look(events: PackedEvents) -> None:
        told.append(await house.incomplete())

    house.store.apply_packed = look  # type: ignore[method-assign]
    await house.catch_up()

    assert (lost, told, await house.incomplete()) == (True, [True], False)
