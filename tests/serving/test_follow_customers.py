from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from recsys.customers import CustomerChange, Identifier, IdKind, LinkChange
from recsys.events import Position
from serving import follow_customers
from serving.follow_customers import CustomerFollower
from serving.log.customer_reads import CustomerReader
from serving.state.address import parse_redis_url
from serving.state.embedded import EmbeddedValkey
from serving.state.keys import Secret, StateKeys
from serving.state.profiles import Known
from serving.state.redis_store import RedisSettings, RedisStateStore
from serving.state.store import Missing
from tests.serving.register import changed

PATIENT = RedisSettings(read_timeout_ms=10_000)
ANNA, BERT = Identifier(IdKind.USER, "anna"), Identifier(IdKind.USER, "bert")
PHONE = Identifier(IdKind.DEVICE, "phone")
NEVER_S = 3_600.0
prefixes = (f"follow{n}:" for n in itertools.count())


@dataclass
class House:
    """A register, a store, and what follows the one for the other."""

    log_file: Path
    store: RedisStateStore
    keys: StateKeys

    def __post_init__(self) -> None:
        self.follower = self.following(self.store)

    def change(self, *changes: CustomerChange) -> Position:
        return changed(self.log_file, changes).last_position

    async def apply(self, *identifiers: Identifier) -> None:
        reader = CustomerReader(self.log_file)
        await self.store.apply_profiles(reader.profiles_of(identifiers))
        reader.close()

    def following(self, store: RedisStateStore, interval_s: float = NEVER_S) -> CustomerFollower:
        def opened() -> CustomerReader:
            return CustomerReader(self.log_file)

        return CustomerFollower(store, self.keys, opened, interval_s=interval_s)

    async def told(self, *identifiers: Identifier) -> list[bool]:
        asked = [[self.keys.of(one)] for one in identifiers]
        known: list[Known] = list(await self.follower.known(asked))
        assert all(one.personalise == one.told for one in known)
        return [one.told for one in known]


@pytest.fixture
async def house(valkey: EmbeddedValkey, tmp_path: Path) -> AsyncIterator[House]:
    log_file, keys = tmp_path / "log.sqlite", StateKeys(Secret(bytes(32)), next(prefixes))
    store = RedisStateStore(valkey.address, keys, PATIENT)
    await store.set_applied_through(Position(0), expected=None)
    house = House(log_file, store, keys)
    yield house
    await house.follower.close()
    await store.close()


async def test_nobody_is_told_of_before_the_first_look(house: House) -> None:
    before = await house.told(ANNA)
    await house.follower.look()

    assert (before, await house.told(ANNA)) == ([False], [True])


async def test_change_that_the_store_lacks_makes_nobody_of_whom_it_is_about(house: House) -> None:
    await house.follower.look()
    house.change(LinkChange(ANNA, PHONE))
    await house.follower.look()

    before = await house.told(ANNA, BERT)
    await house.apply(ANNA)

    assert before == [False, True]
    assert await house.told(ANNA, BERT) == [True, True]


async def test_changes_of_before_the_start_count_where_the_store_has_not_applied_them(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow_customers, "STEP", 2)
    others = [Identifier(IdKind.CARD, str(n)) for n in range(5)]
    applied = house.change(LinkChange(BERT, others[0]))
    house.change(LinkChange(ANNA, PHONE), *(LinkChange(ANNA, one) for one in others[1:]))
    await house.store.set_applied_through(applied, expected=Position(0))

    await house.follower.look()

    assert await house.told(ANNA, others[4], BERT) == [False, False, True]


async def test_store_away_at_the_start_is_asked_again(
    house: House, valkey: EmbeddedValkey, short_folder: Path
) -> None:
    socket = short_folder / "late.sock"
    late = RedisStateStore(parse_redis_url(f"unix://{socket}"), house.keys, PATIENT)
    follower = house.following(late)
    await follower.look()
    socket.symlink_to(valkey.socket)

    (before,) = await follower.known([[house.keys.of(BERT)]])
    await follower.look()
    (after,) = await follower.known([[house.keys.of(BERT)]])

    await follower.close()
    await late.close()
    assert (before.told, after.told) == (False, True)


async def test_register_that_cannot_be_read_is_opened_again(house: House) -> None:
    house.log_file.mkdir()
    await house.follower.look()
    before = await house.told(BERT)
    house.log_file.rmdir()

    await house.follower.look()

    assert (before, await house.told(BERT)) == ([False], [True])


async def test_follower_looks_for_good_and_says_whether_the_store_is_incomplete(
    house: House,
) -> None:
    follower = house.following(house.store, interval_s=0.001)
    looking = asyncio.create_task(follower.keep_looking())
    house.change(LinkChange(ANNA, PHONE))
    await house.store.set_missing(Missing.STATES)

    while True:
        anna, bert = await follower.known([[house.keys.of(one)] for one in (ANNA, BERT)])
        if bert.told and not anna.told:
            break

    looking.cancel()
    with suppress(asyncio.CancelledError):
        await looking
    await follower.close()
    assert follower.incomplete
