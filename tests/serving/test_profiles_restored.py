"""Profiles are a view of the register: caught up, restored after a loss, compared and repaired."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from redis import Redis

from recsys.customers import (
    ConsentChange,
    ConsentStatement,
    CustomerChange,
    Identifier,
    IdKind,
    LinkChange,
    Purpose,
    identifiers_of,
)
from recsys.errors import Unavailable
from recsys.events import Event, EventType, Position, Record
from recsys.ids import ItemId
from serving import catch_up
from serving.catch_up import CatchUp
from serving.log.customer_reads import CustomerReader
from serving.log.customer_register import CustomerProfile
from serving.log.records import Lines
from serving.log.writer import Writer
from serving.rebuild import rebuild_state
from serving.rebuild_profiles import ProfileFindings, ProfileRebuild
from serving.settings import ServingSettings, read_settings
from serving.standing_in import JobState
from serving.state.changes import PackedEvents
from serving.state.embedded import EmbeddedValkey
from serving.state.keys import ProfileKey, Secret, StateKeys, profile_key
from serving.state.profiles import Known
from serving.state.redis_store import RedisSettings, RedisStateStore
from tests.serving.register import changed

START = datetime(2026, 3, 1, tzinfo=UTC)
PATIENT = RedisSettings(read_timeout_ms=10_000)
ANNA = Identifier(IdKind.USER, "anna")
BERT = Identifier(IdKind.USER, "bert")
PHONE = Identifier(IdKind.VISITOR, "phone")


def refused(owner: Identifier) -> ConsentChange:
    return ConsentChange(owner, ConsentStatement(Purpose.PERSONALISE, granted=False, time=START))


@dataclass
class House:
    """A data folder with its own Valkey."""

    settings: ServingSettings
    valkey: EmbeddedValkey
    store: RedisStateStore
    keys: StateKeys

    def click(self, *owners: Identifier) -> None:
        events = [
            Event(
                f"{one.value}-clicks",
                EventType.CLICK,
                START,
                ItemId("i"),
                **{f"{one.kind.value}_id": one.value},  # type: ignore[arg-type]
            )
            for one in owners
        ]
        writer = Writer(self.settings.log_file, clock=lambda: START)
        writer.append(Lines.of([Record(event) for event in events]))
        writer.close()

    def change(self, *changes: CustomerChange) -> list[CustomerProfile]:
        changed(self.settings.log_file, changes)
        reader = CustomerReader(self.settings.log_file)
        profiles = reader.profiles_of(identifiers_of(changes))
        reader.close()
        return profiles

    async def catch_up(self, store: RedisStateStore | None = None) -> Position:
        folder = self.settings
        async with CatchUp(folder.log_file, folder.lake_folder, store or self.store) as one:
            return await one.run(lambda done, of: None)

    async def known(self, *identifiers: Identifier) -> list[Known]:
        return list(await self.store.known([[self.keys.of(one)] for one in identifiers]))

    async def compared(self, *, only_look: bool, alone: bool = True) -> ProfileFindings:
        caught_up = CatchUp(self.settings.log_file, self.settings.lake_folder, self.store)
        state = JobState(self.store, self.keys, caught_up, alone)
        async with (
            caught_up,
            ProfileRebuild(self.settings.log_file, state, only_look=only_look) as one,
        ):
            return await one.run()

    def profile_key(self, identifier: Identifier) -> ProfileKey:
        return profile_key(self.keys.of(identifier))

    def redis(self) -> Redis:
        return Redis(unix_socket_path=str(self.valkey.socket))

    def everything(self) -> dict[bytes, bytes]:
        with self.redis() as client:
            return {key: client.dump(key) for key in client.scan_iter(count=1_000)}


@pytest.fixture
async def house(short_folder: Path) -> AsyncIterator[House]:
    settings = read_settings(data_folder=short_folder, redis_url="")
    valkey = EmbeddedValkey.start_or_adopt(short_folder)
    keys = StateKeys(Secret.load_or_create(settings.secret_file))
    store = RedisStateStore(valkey.address, keys, PATIENT)
    yield House(settings, valkey, store, keys)
    await store.close()
    valkey.stop()


async def test_changes_that_the_store_never_took_are_caught_up(house: House) -> None:
    house.click(ANNA, PHONE)
    await house.catch_up()
    house.change(LinkChange(ANNA, PHONE), refused(BERT))

    position = await house.catch_up()

    anna, bert = await house.known(ANNA, BERT)
    assert position == 4
    assert (len(anna.state.history), bert.personalise) == (2, False)


async def test_flushed_store_serves_nobody_who_refused_before_during_and_after_filling(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one with links and consents is filled step by step, and looked at after each."""
    monkeypatch.setattr(catch_up, "_CHANGES_A_STEP", 1)
    house.click(ANNA, BERT, PHONE)
    house.change(LinkChange(ANNA, PHONE), refused(BERT), refused(PHONE))
    await house.catch_up()
    with house.redis() as client:
        client.flushall()
    filling = WatchedStore(house.valkey.address, house.keys, PATIENT)
    filling.house, filling.seen = house, []

    before = await house.known(ANNA, BERT, PHONE)
    await house.catch_up(filling)
    await filling.close()
    after = await house.known(ANNA, BERT, PHONE)

    assert len(filling.seen) == 4  # three steps of profiles, one of events
    for known in (before, after, *filling.seen):
        assert [one.personalise for one in known] == [False] * 3
        assert not any(one.state for one in known)


class WatchedStore(RedisStateStore):
    """A store whose readers look after each step of its filling."""

    house: House
    seen: list[list[Known]]

    async def apply_profiles(self, profiles: Sequence[CustomerProfile]) -> None:
        await super().apply_profiles(profiles)
        self.seen.append(await self.house.known(ANNA, BERT, PHONE))

    async def apply_packed(self, events: PackedEvents) -> None:
        await super().apply_packed(events)
        self.seen.append(await self.house.known(ANNA, BERT, PHONE))


async def test_customers_without_profile_are_used_as_soon_as_all_profiles_are_there(
    house: House,
) -> None:
    house.click(ANNA)
    house.change(refused(BERT))
    seen = []

    class Watched(RedisStateStore):
        async def apply_packed(self, events: PackedEvents) -> None:
            seen.append((await house.known(ANNA))[0].personalise)
            await super().apply_packed(events)

    watched = Watched(house.valkey.address, house.keys, PATIENT)
    seen.append((await house.known(ANNA))[0].personalise)
    await house.catch_up(watched)
    await watched.close()

    assert seen == [False, True]


async def test_restored_store_is_the_one_that_was_lost(house: House) -> None:
    house.click(ANNA, BERT)
    house.change(LinkChange(ANNA, PHONE), refused(BERT), LinkChange(BERT, PHONE))
    house.change(LinkChange(BERT, PHONE, linked=False))
    await house.catch_up()
    before = house.everything()
    with house.redis() as client:
        client.flushall()

    await house.catch_up()

    assert house.everything() == before


async def test_store_lost_while_profiles_are_restored_is_restored_again(house: House) -> None:
    house.change(refused(ANNA))

    class Losing(RedisStateStore):
        left = 1

        async def apply_profiles(self, profiles: Sequence[CustomerProfile]) -> None:
            await super().apply_profiles(profiles)
            self.left -= 1
            if self.left == 0:
                with house.redis() as client:
                    client.flushall()

    losing = Losing(house.valkey.address, house.keys, PATIENT)
    await house.catch_up(losing)
    await losing.close()

    (anna,) = await house.known(ANNA)
    assert not anna.personalise
    assert not house.store.incomplete


async def test_profile_of_every_kind_of_damage_is_found_and_repaired(house: House) -> None:
    house.change(LinkChange(ANNA, PHONE), refused(BERT))
    await house.catch_up()
    before = house.everything()
    stranger = house.profile_key(Identifier(IdKind.USER, "nobody"))
    older = house.profile_key(ANNA).replace("recsys:3:", "recsys:2:")
    with house.redis() as client:
        stored = client.get(house.profile_key(ANNA)) or b""
        client.delete(house.profile_key(PHONE))
        client.set(house.profile_key(ANNA), b"torn")
        client.set(house.profile_key(BERT), b"\0\0\0\1" + stored[4:])
        client.mset({stranger: stored, older: stored})

    looked = await house.compared(only_look=True)
    repaired = await house.compared(only_look=False)

    assert looked == repaired == ProfileFindings(profiles=3, repaired=3, removed=2)
    assert house.everything() == before
    assert await house.compared(only_look=True) == ProfileFindings(profiles=3)


async def test_profile_that_a_server_may_still_write_is_no_fault(house: House) -> None:
    house.change(refused(ANNA))
    await house.catch_up()
    house.change(refused(BERT))

    beside = await house.compared(only_look=True, alone=False)
    alone = await house.compared(only_look=True)

    assert beside == ProfileFindings(profiles=2)
    assert alone == ProfileFindings(profiles=2, repaired=1)


async def test_profile_of_a_newcomer_is_not_taken_for_one_of_nobody(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.change(refused(ANNA))
    await house.catch_up()
    listed = CustomerReader.identifiers

    def before_bert(self: CustomerReader, *wanted: object) -> list[Identifier]:
        found = listed(self, *wanted)  # type: ignore[arg-type]
        return [one for one in found if one != BERT]

    newcomer = house.change(refused(BERT))
    last = CustomerReader.last_position
    monkeypatch.setattr(CustomerReader, "identifiers", before_bert)
    monkeypatch.setattr(CustomerReader, "last_position", lambda self: Position(last(self) - 1))
    await house.store.apply_profiles(newcomer)

    found = await house.compared(only_look=False)

    assert found == ProfileFindings(profiles=1)
    assert not (await house.known(BERT))[0].personalise


async def test_rebuild_of_states_tells_of_profiles_too(house: House) -> None:
    house.click(ANNA)
    house.change(refused(ANNA))
    await house.catch_up()
    with house.redis() as client:
        client.delete(house.profile_key(ANNA))

    found = await rebuild_state(
        house.settings, START, lambda doing, done, of: None, only_look=False
    )

    assert (found.customers, found.right, found.clean) == (1, 1, False)
    assert found.profiles == ProfileFindings(profiles=1, repaired=1)
    assert replace(found, profiles=ProfileFindings()).clean
    assert not (await house.known(ANNA))[0].personalise


async def test_store_away_is_unavailable(house: House) -> None:
    house.valkey.stop()

    with pytest.raises(Unavailable):
        await house.known(ANNA)
    EmbeddedValkey.start_or_adopt(house.settings.data_folder)
