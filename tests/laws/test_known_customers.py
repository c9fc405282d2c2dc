"""The laws of `StateStore.known`: whose state may be used, under which ids it is joined."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis

from recsys.customers import (
    ConsentChange,
    Consents,
    ConsentStatement,
    CustomerChange,
    Identifier,
    IdKind,
    LinkChange,
    Purpose,
    identifiers_of,
)
from recsys.events import Event, EventType, Position, Record
from recsys.ids import ItemId
from recsys.state import UserState
from serving.log.customer_reads import CustomerReader
from serving.log.customer_register import CustomerProfile
from serving.metrics import Registry, StateMetrics, totals
from serving.state.embedded import EmbeddedValkey
from serving.state.keys import Secret, StateKeys, hash_in, profile_key
from serving.state.profiles import Known
from serving.state.recent import Change, RecentChanges
from serving.state.redis_store import RedisSettings, RedisStateStore
from serving.state.store import Missing
from tests.laws.test_state_store import reference
from tests.serving.log.test_customers import Model
from tests.serving.register import changed

START = datetime(2024, 5, 1, tzinfo=UTC)
SECRET = Secret(bytes(range(32)))
PATIENT = RedisSettings(read_timeout_ms=10_000)
prefixes = (f"known{n}:" for n in itertools.count())

USER = Identifier(IdKind.USER, "anna")
VISITOR = Identifier(IdKind.VISITOR, "v")
SESSION = Identifier(IdKind.SESSION, "s")
CARD = Identifier(IdKind.CARD, "4711")
EVERYBODY = (USER, VISITOR, SESSION, CARD)


@dataclass
class House:
    """A register, and a store that holds all that is applied, used by two workers."""

    log_file: Path
    keys: StateKeys
    workers: Sequence[RedisStateStore]
    valkey: EmbeddedValkey
    registry: Registry

    @property
    def store(self) -> RedisStateStore:
        return self.workers[0]

    def change(self, *changes: CustomerChange) -> list[CustomerProfile]:
        """Change the register alone; return the profiles of whom that touches."""
        changed(self.log_file, changes)
        return self.profiles(identifiers_of(changes))

    def profiles(self, identifiers: Sequence[Identifier]) -> list[CustomerProfile]:
        reader = CustomerReader(self.log_file)
        try:
            return reader.profiles_of(identifiers)
        finally:
            reader.close()

    async def apply(self, *changes: CustomerChange) -> None:
        await self.store.apply_profiles(self.change(*changes))

    async def known(self, *identifiers: Identifier) -> Known:
        return (await self.store.known([[self.keys.of(one) for one in identifiers]]))[0]

    def redis(self) -> Redis:
        return Redis(unix_socket_path=str(self.valkey.socket))


NewHouse = Callable[[Path], AbstractAsyncContextManager[House]]


@pytest.fixture(scope="session")
def new_house(valkey: EmbeddedValkey) -> NewHouse:
    """Give what makes an empty house, whose store is complete."""

    @asynccontextmanager
    async def made(folder: Path) -> AsyncIterator[House]:
        keys, registry = StateKeys(SECRET, next(prefixes)), Registry()
        metrics = StateMetrics.of(registry)
        workers = [
            RedisStateStore(valkey.address, keys, PATIENT, metrics=metrics) for _ in range(2)
        ]
        try:
            await workers[0].set_applied_through(Position(0), expected=None)
            yield House(folder / "log.sqlite", keys, workers, valkey, registry)
        finally:
            for worker in workers:
                await worker.close()

    return made


@pytest.fixture
async def house(new_house: NewHouse, tmp_path: Path) -> AsyncIterator[House]:
    async with new_house(tmp_path) as made:
        yield made


def did(number: int, owner: Identifier, kind: EventType = EventType.CLICK, s: float = 0) -> Record:
    """Return the record of an event under one id."""
    event = Event(
        f"e{number}",
        kind,
        START + timedelta(seconds=s),
        ItemId(f"i{number}"),
        **{f"{owner.kind.value}_id": owner.value},  # type: ignore[arg-type]
    )
    return Record(event, number, item_row=number)


def said(
    owner: Identifier, *, granted: bool, s: float = 0, purpose: Purpose = Purpose.PERSONALISE
) -> ConsentChange:
    statement = ConsentStatement(purpose, granted, START + timedelta(seconds=s))
    return ConsentChange(owner, statement)


def link(one: Identifier, other: Identifier, *, linked: bool = True) -> LinkChange:
    return LinkChange(one, other, linked)


def as_bytes(known: Sequence[Known]) -> list[tuple[bytes, bool, bool]]:
    return [(one.state.to_bytes(), one.personalise, one.email) for one in known]


anybody = st.sampled_from(EVERYBODY)
links = st.builds(LinkChange, anybody, anybody, st.booleans()).filter(
    lambda change: change.one != change.other
)
consents = st.builds(
    lambda owner, granted, s, purpose: said(owner, granted=granted, s=s, purpose=purpose),
    anybody, st.booleans(), st.integers(0, 2), st.sampled_from(Purpose),
)  # fmt: skip
happenings = st.tuples(
    st.sampled_from((USER, VISITOR, SESSION)),
    st.sampled_from((EventType.CLICK, EventType.PURCHASE, EventType.UNSUBSCRIBE)),
    st.integers(0, 2),
)
asked = st.lists(st.lists(anybody, max_size=3), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(
    changes=st.lists(st.one_of(links, consents), max_size=14),
    happened=st.lists(happenings, max_size=10),
    queries=asked,
    chance=st.randoms(use_true_random=False),
)
def test_changes_and_events_delivered_in_any_way_are_known_as_the_reference_says(
    new_house: NewHouse,
    tmp_path_factory: pytest.TempPathFactory,
    changes: list[CustomerChange],
    happened: list[tuple[Identifier, EventType, int]],
    queries: list[list[Identifier]],
    chance: object,
) -> None:
    records = [did(number, *one) for number, one in enumerate(happened, start=1)]

    async def check() -> None:
        model = Model()
        async with new_house(tmp_path_factory.mktemp("known")) as house:
            deliveries: list[CustomerProfile | Record] = [*records, *records]
            for change in changes:
                model.add(change)
                deliveries += 2 * house.change(change)
            chance.shuffle(deliveries)  # type: ignore[attr-defined]

            await asyncio.gather(
                *(delivered(one, house.workers[n % 2]) for n, one in enumerate(deliveries))
            )

            keys = [[house.keys.of(one) for one in query] for query in queries]
            together = await house.workers[1].known(keys)
            apart = [(await house.store.known([query]))[0] for query in keys]
            wanted = [expected(query, model, records) for query in queries]
            assert as_bytes(together) == as_bytes(wanted)
            assert as_bytes(apart) == as_bytes(wanted)

    asyncio.run(check())


async def delivered(one: CustomerProfile | Record, worker: RedisStateStore) -> None:
    if isinstance(one, Record):
        await worker.apply([one])
    else:
        await worker.apply_profiles([one])


def expected(query: Sequence[Identifier], model: Model, records: Sequence[Record]) -> Known:
    """Return what may be used of whoever asks under these ids, as simply as it can be said."""
    members = {member for one in query for member in model.members(one)}
    consents = reduce(Consents.joined, (model.consents(one) for one in query), Consents())
    states = [reference(records, (one.kind, one.value)) for one in members]
    whole = reduce(UserState.joined, states, UserState.unknown())
    left = [
        ConsentStatement(Purpose.EMAIL, granted=False, time=record.fact.time + TICK)
        for record in records
        if isinstance(record.fact, Event)
        and record.fact.type is EventType.UNSUBSCRIBE
        and any(getattr(record.fact, f"{one.kind}_id", "") == one.value for one in members)
    ]
    personalise = consents.allow(Purpose.PERSONALISE)
    email = consents.joined(Consents.of(left)).allow(Purpose.EMAIL)
    return Known(whole if personalise else UserState.unknown(), personalise, email)


TICK = timedelta(seconds=1 / 256)


async def test_link_joins_and_unlink_restores_bit_for_bit(house: House) -> None:
    await house.store.apply([did(1, USER), did(2, VISITOR, s=1)])
    before = as_bytes([await house.known(USER), await house.known(VISITOR)])
    await house.apply(link(USER, CARD), link(CARD, VISITOR))

    joined = [await house.known(one) for one in (USER, VISITOR, CARD)]
    await house.apply(link(CARD, VISITOR, linked=False))
    after = as_bytes([await house.known(USER), await house.known(VISITOR)])

    assert [len(one.state.history) for one in joined] == [2, 2, 2]
    assert after == before


async def test_wrong_link_taken_back_gives_nobody_the_other_ones_refusal(house: House) -> None:
    await house.store.apply([did(1, USER), did(2, VISITOR)])
    await house.apply(said(VISITOR, granted=False), link(USER, VISITOR))

    linked = [(await house.known(one)).personalise for one in (USER, VISITOR)]
    await house.apply(link(USER, VISITOR, linked=False))
    apart = [(await house.known(one)).personalise for one in (USER, VISITOR)]

    assert (linked, apart) == ([False, False], [True, False])


async def test_nothing_of_a_customer_who_refused_is_told_until_it_is_granted(house: House) -> None:
    await house.store.apply([did(1, USER)])
    await house.apply(said(USER, granted=False, s=1))
    refused = await house.known(USER)
    await house.apply(said(USER, granted=True, s=2))

    granted = await house.known(USER)

    assert (refused.personalise, bool(refused.state)) == (False, False)
    assert (granted.personalise, len(granted.state.history)) == (True, 1)


async def test_who_refused_under_one_asked_id_is_refused_under_all_of_the_query(
    house: House,
) -> None:
    await house.store.apply([did(1, USER), did(2, VISITOR)])
    await house.apply(said(VISITOR, granted=False))

    both = await house.known(USER, VISITOR)

    assert (both.personalise, bool(both.state)) == (False, False)


@pytest.mark.parametrize(
    ("s", "allowed"), [(9.0, False), (10.0, False), (10.002, False), (10.01, True)]
)
async def test_email_is_allowed_by_a_grant_that_is_newer_than_the_unsubscription(
    house: House, s: float, allowed: bool
) -> None:
    await house.store.apply([did(1, USER, EventType.UNSUBSCRIBE, 10.0)])
    nothing = (await house.known(USER)).email
    await house.apply(said(USER, granted=True, s=s, purpose=Purpose.EMAIL))

    assert ((await house.known(USER)).email, nothing) == (allowed, False)


async def test_unsubscription_under_one_id_holds_for_all_that_are_linked(house: House) -> None:
    await house.store.apply([did(1, VISITOR, EventType.UNSUBSCRIBE, 10.0)])
    await house.apply(said(USER, granted=True, purpose=Purpose.EMAIL))

    apart = await house.known(USER)
    await house.apply(link(USER, VISITOR))

    assert (apart.email, (await house.known(USER)).email) == (True, False)


async def test_store_without_its_marks_tells_nothing_but_of_whom_it_has_the_profile(
    house: House,
) -> None:
    await house.store.apply([did(1, USER), did(2, VISITOR)])
    await house.apply(said(USER, granted=True), said(CARD, granted=True, purpose=Purpose.EMAIL))
    with house.redis() as client:
        client.delete(house.keys.shared("applied_through"))

    known = [await house.known(*ids) for ids in ((USER,), (VISITOR,), (USER, VISITOR))]

    assert [one.personalise for one in known] == [True, False, False]
    assert [len(one.state.history) for one in known] == [1, 0, 0]
    assert house.store.incomplete
    assert not (await house.known(CARD)).email  # whose unsubscription may be missing


async def test_whoever_has_no_profile_is_used_again_once_profiles_are_there(house: House) -> None:
    await house.store.apply([did(1, VISITOR)])

    told = []
    for missing in (Missing.PROFILES, Missing.STATES, None):
        await house.store.set_missing(missing)
        told.append((await house.known(VISITOR)).personalise)

    assert told == [False, True, True]


async def test_whoever_changed_is_nobody_until_the_store_has_it_and_all_others_are_known(
    house: House,
) -> None:
    await house.apply(said(USER, granted=True), link(USER, VISITOR))
    await house.store.apply([did(1, USER), did(2, VISITOR), did(3, SESSION)])
    changes = RecentChanges(lambda: 0.0, fresh_s=1.0)
    changes.begin(Position(0))
    changes.looked(0.0)
    profiles = house.change(said(VISITOR, granted=False))
    changes.take([Change(Position(3), [hash_in(house.keys.of(VISITOR))])])
    asked = [[house.keys.of(one)] for one in (USER, VISITOR, SESSION)]

    before = await house.store.known(asked, changes)
    await house.store.apply_profiles(profiles)
    after = await house.store.known(asked, changes)

    assert [(one.personalise, one.told) for one in before] == [
        (False, False),
        (False, False),
        (True, True),
    ]
    assert [(one.personalise, one.told) for one in after] == [
        (False, True),
        (False, True),
        (True, True),
    ]


async def test_store_that_came_back_as_it_was_before_tells_nothing_until_it_is_up_to_date(
    house: House,
) -> None:
    await house.store.apply([did(1, USER)])
    changes = RecentChanges(lambda: 0.0, fresh_s=1.0)
    changes.begin(Position(7))
    changes.looked(0.0)
    asked = [[house.keys.of(USER)]]

    (before,) = await house.store.known(asked, changes)
    await house.store.set_applied_through(Position(7), expected=Position(0))
    (after,) = await house.store.known(asked, changes)

    assert (before.personalise, before.told) == (False, False)
    assert (after.personalise, after.told) == (True, True)


@pytest.mark.parametrize("damage", [b"", b"torn", b"\xff" * 10, b"\xff" * 26])
async def test_damaged_profile_counts_as_a_refusal_and_is_written_over(
    house: House, damage: bytes
) -> None:
    await house.store.apply([did(1, USER)])
    await house.apply(said(USER, granted=True))
    with house.redis() as client:
        client.set(profile_key(house.keys.of(USER)), damage)

    damaged = await house.known(USER)
    count = totals(house.registry)["states_damaged"]
    await house.store.apply_profiles(house.profiles([USER]))

    assert (damaged.personalise, bool(damaged.state), count) == (False, False, 1)
    assert (await house.known(USER)).personalise


async def test_profile_shows_no_id_and_outlives_the_state_beside_it(house: House) -> None:
    await house.store.apply([did(1, USER)])
    await house.apply(link(USER, CARD), said(USER, granted=False))
    key = house.keys.of(USER)

    with house.redis() as client:
        stored = client.get(profile_key(key))
        ttls = (client.ttl(key), client.ttl(profile_key(key)))

    assert isinstance(stored, bytes)
    assert b"anna" not in stored
    assert b"4711" not in stored
    assert len(stored) == 10 + 9 + 2 * 16
    assert ttls[0] > 0 > ttls[1]


async def test_customers_take_one_trip_linked_or_not(house: House) -> None:
    await house.apply(link(USER, CARD), said(SESSION, granted=True))
    trips = []
    for identifiers in ((VISITOR, SESSION), (USER, CARD), (USER, VISITOR)):
        await house.known(*identifiers)
        with house.redis() as client:
            before = int(client.info("stats")["total_reads_processed"])
            await house.known(*identifiers)
            trips.append(int(client.info("stats")["total_reads_processed"]) - before - 1)

    assert trips == [1, 1, 1]


async def test_whoever_gives_no_id_refused_nothing(house: House) -> None:
    (known,) = await house.store.known([[]])

    assert (known.personalise, known.email, bool(known.state)) == (True, False, False)
