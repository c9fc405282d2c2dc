"""The laws of `StateStore`, for every implementation."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.events import EVENT_TYPES, Event, EventType, Record
from recsys.ids import ItemId
from recsys.state import ENTRY, FACETS, Facet, UserState, entry, merged, no_entries
from serving.state.embedded import EmbeddedValkey
from serving.state.keys import IdKind, Secret, StateKeys, most_durable
from serving.state.redis_store import RedisSettings, RedisStateStore
from serving.state.store import StateStore

type_names = st.sampled_from(EVENT_TYPES)
START = datetime(2024, 5, 1, tzinfo=UTC)
SECRET = Secret(bytes(range(32)))
PATIENT = RedisSettings(read_timeout_ms=10_000)  # laws are not about a busy machine
prefixes = (f"law{n}:" for n in itertools.count())

NewStore = Callable[[], AbstractAsyncContextManager[tuple[StateStore, StateKeys]]]


@pytest.fixture(scope="session", params=["redis"])
def new_store(valkey: EmbeddedValkey) -> NewStore:
    """Give what makes an empty store."""

    @asynccontextmanager
    async def made() -> AsyncIterator[tuple[StateStore, StateKeys]]:
        keys = StateKeys(SECRET, next(prefixes))
        store = RedisStateStore(valkey.address, keys, PATIENT)
        try:
            yield store, keys
        finally:
            await store.close()

    return made


def record(
    position: int,
    *,
    kind: EventType = EventType.CLICK,
    seconds: int = 0,
    row: int = 0,
    quantity: float = 1.0,
    user_id: str = "",
    visitor_id: str = "",
    session_id: str = "",
) -> Record:
    time = START + timedelta(seconds=seconds)
    if not (visitor_id or session_id):
        user_id = user_id or "anna"
    event = Event(
        f"e{position}", kind, time, ItemId(f"i{row}"), user_id, visitor_id, session_id, quantity
    )
    return Record(event, position, row)


def packed(one: Record) -> bytes:
    event = one.fact
    assert isinstance(event, Event)
    return entry(
        event.type,
        time=int(event.time.timestamp()),
        position=one.position,
        row=one.item_row,
        quantity=event.quantity,
    )


def reference(records: Sequence[Record], owner: tuple[IdKind, str]) -> UserState:
    """Return what `merged` makes of one customer's records, one after the other."""

    def facet_of(facet: Facet) -> np.ndarray:
        mine = [r for r in records if isinstance(r.fact, Event) and most_durable(r.fact) == owner]
        kept = [packed(r) for r in mine if r.fact.type in facet.kinds]  # type: ignore[union-attr]
        singles = [np.frombuffer(raw, dtype=ENTRY) for raw in kept]
        return reduce(lambda a, b: merged(a, b, facet.limit), singles, no_entries())

    return UserState(*(facet_of(facet) for facet in FACETS))


def assert_same(state: UserState, wanted: UserState) -> None:
    for facet in FACETS:
        assert getattr(state, facet.name).tolist() == getattr(wanted, facet.name).tolist()


owners = st.sampled_from([{"user_id": "a"}, {"user_id": "b"}, {"visitor_id": "a"}])
positions = st.one_of(
    st.integers(1, 40), st.integers(2**32 - 3, 2**32 + 3), st.integers(2**62, 2**63 - 1)
)


@st.composite
def histories(draw: st.DrawFn) -> list[Record]:
    places = draw(st.lists(positions, min_size=1, max_size=30, unique=True))
    return [
        record(
            place,
            kind=draw(type_names),
            seconds=draw(st.integers(0, 4)),
            row=draw(st.integers(0, 2**31 - 1)),
            quantity=draw(st.floats(0.01, 1_000)),
            **draw(owners),
        )
        for place in places
    ]


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[Record], list[list[Record]]]:
    """Draw records, and batches that hold each at least once, in any order."""
    records = draw(histories())
    again = draw(st.lists(st.sampled_from(records), max_size=20))
    sent = draw(st.permutations([*records, *again]))
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(sent) - 1)), max_size=5)))
    bounds = [0, *cuts, len(sent)]
    return records, [list(sent[a:b]) for a, b in itertools.pairwise(bounds)]


@settings(max_examples=80, deadline=None)
@given(deliveries())
def test_records_delivered_in_any_way_end_in_the_merged_state(
    new_store: NewStore, delivered: tuple[list[Record], list[list[Record]]]
) -> None:
    async def check() -> None:
        records, batches = delivered
        owners = [(IdKind.USER, "a"), (IdKind.USER, "b"), (IdKind.VISITOR, "a")]
        async with new_store() as (store, keys):
            for batch in batches:
                await store.apply(batch)

            states = await store.read([[keys.customer(*owner)] for owner in owners])

            for owner, state in zip(owners, states, strict=True):
                assert_same(state, reference(records, owner))

    asyncio.run(check())


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 12))
def test_long_histories_in_any_batches_keep_the_newest_up_to_each_limit(
    new_store: NewStore, seed: int, n_batches: int
) -> None:
    async def check() -> None:
        rng = np.random.default_rng(seed)
        kinds = rng.choice([EventType.PURCHASE, EventType.LIKE, EventType.HIDE], size=2_500)
        seconds = rng.integers(0, 900, size=2_500).tolist()
        records = [
            record(place + 1, kind=EventType(kind), seconds=second, row=place)
            for place, (kind, second) in enumerate(zip(kinds, seconds, strict=True))
        ]
        batches = np.array_split(rng.permutation(2_500), n_batches)
        async with new_store() as (store, keys):
            await asyncio.gather(*(store.apply([records[i] for i in batch]) for batch in batches))

            (state,) = await store.read([[keys.customer(IdKind.USER, "anna")]])

            assert_same(state, whole(records))

    asyncio.run(check())


def whole(records: Sequence[Record]) -> UserState:
    """Return one customer's state, merged in one step a facet."""
    parts = []
    for facet in FACETS:
        raw = b"".join(
            packed(r) for r in records if isinstance(r.fact, Event) and r.fact.type in facet.kinds
        )
        parts.append(merged(no_entries(), np.frombuffer(raw, dtype=ENTRY), facet.limit))
    return UserState(*parts)


async def test_facets_never_outgrow_their_limits(new_store: NewStore) -> None:
    bought = [record(n, kind=EventType.PURCHASE, seconds=n) for n in range(1, 1_501)]
    liked = [record(n, kind=EventType.LIKE, seconds=n) for n in range(2_001, 2_801)]

    async with new_store() as (store, keys):
        await store.apply(bought)
        await store.apply(liked)
        (state,) = await store.read([[keys.customer(IdKind.USER, "anna")]])

    assert [len(state.history), len(state.purchases), len(state.opinions)] == [200, 1_024, 500]
    assert state.purchases["position"][[0, -1]].tolist() == [1_500, 477]


async def test_likes_and_hides_are_opinions_newest_first(new_store: NewStore) -> None:
    like = record(1, kind=EventType.LIKE, seconds=10, row=7)
    hide = record(2, kind=EventType.HIDE, seconds=20, row=7)

    async with new_store() as (store, keys):
        await store.apply([hide])
        await store.apply([like])
        (state,) = await store.read([[keys.customer(IdKind.USER, "anna")]])

    assert [EVENT_TYPES[code] for code in state.opinions["kind"]] == ["hide", "like"]
    assert state.opinions["row"].tolist() == [7, 7]


async def test_impressions_are_not_remembered(new_store: NewStore) -> None:
    async with new_store() as (store, keys):
        await store.apply([record(1, kind=EventType.IMPRESSION)])
        (state,) = await store.read([[keys.customer(IdKind.USER, "anna")]])

    assert not state


async def test_several_keys_of_a_query_are_joined_as_one_customer(new_store: NewStore) -> None:
    known = record(1, kind=EventType.PURCHASE, seconds=5, user_id="anna")
    browsed = record(2, seconds=9, visitor_id="v")

    async with new_store() as (store, keys):
        await store.apply([known, browsed])
        anna, visitor = keys.customer(IdKind.USER, "anna"), keys.customer(IdKind.VISITOR, "v")
        both, one, none = await store.read([[anna, visitor], [visitor], []])

    assert both.history["position"].tolist() == [2, 1]
    assert both.purchases["position"].tolist() == [1]
    assert one.history["position"].tolist() == [2]
    assert not none


async def test_a_batch_of_reads_answers_as_its_queries_one_by_one(new_store: NewStore) -> None:
    records = [record(n, seconds=n % 3, user_id=f"u{n % 5}") for n in range(1, 40)]

    async with new_store() as (store, keys):
        await store.apply(records)
        users = [keys.customer(IdKind.USER, f"u{n}") for n in range(7)]
        queries = [[user] for user in users] + [users[:3], [users[2], users[2]], []]
        together = await store.read(queries)
        apart = [(await store.read([query]))[0] for query in queries]

    for state, alone in zip(together, apart, strict=True):
        assert_same(state, alone)
    assert_same(together[8], together[2])


async def test_unknown_keys_give_the_state_of_somebody_never_seen(new_store: NewStore) -> None:
    async with new_store() as (store, keys):
        (state,) = await store.read([[keys.customer(IdKind.USER, "nobody")]])

    assert_same(state, UserState.unknown())


async def test_an_event_counts_under_its_most_durable_id_alone(new_store: NewStore) -> None:
    async with new_store() as (store, keys):
        await store.apply([record(1, user_id="anna", visitor_id="v", session_id="s")])
        ids = [(IdKind.USER, "anna"), (IdKind.VISITOR, "v"), (IdKind.SESSION, "s")]
        states = await store.read([[keys.customer(*given)] for given in ids])

    assert [len(state.history) for state in states] == [1, 0, 0]


async def test_a_record_that_was_never_appended_is_refused(new_store: NewStore) -> None:
    async with new_store() as (store, _):
        with pytest.raises(ValueError, match="append it to the log first"):
            await store.apply([record(0)])


async def test_applied_through_is_none_until_noted(new_store: NewStore) -> None:
    async with new_store() as (store, _):
        before = await store.applied_through()
        await store.set_applied_through(2**60)  # type: ignore[arg-type]
        after = await store.applied_through()

    assert (before, after) == (None, 2**60)
