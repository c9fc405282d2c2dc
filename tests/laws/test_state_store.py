"""The laws of `StateStore`, for every implementation."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.customers import IdKind
from recsys.events import EVENT_CODES, EVENT_TYPES, Event, EventType, Position, Record
from recsys.ids import ItemId
from recsys.state import (
    FACETS,
    NO_ROW,
    Entries,
    Facet,
    UserState,
    kinds_of_entries,
    merged,
    no_entries,
    packed,
    quantities_of_entries,
    rows_of_entries,
    ties_of,
)
from serving.state.embedded import EmbeddedValkey
from serving.state.keys import Secret, StateKeys, most_durable
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
    number: int,
    *,
    kind: EventType = EventType.CLICK,
    seconds: float = 0,
    row: int = 0,
    quantity: float = 1.0,
    position: int | None = None,
    user_id: str = "",
    visitor_id: str = "",
    session_id: str = "",
) -> Record:
    """Return the record of one event; `number` makes its id, and its position unless it is said."""
    if not (visitor_id or session_id):
        user_id = user_id or "anna"
    event = Event(
        f"e{number}",
        kind,
        START + timedelta(seconds=seconds),
        ItemId("" if row < 0 else f"i{row}"),
        user_id,
        visitor_id,
        session_id,
        quantity,
        rating=min(5.0, 1 + quantity) if kind is EventType.RATING else None,
    )
    return Record(event, number if position is None else position, row)


def entries_of(records: Sequence[Record], kinds: Collection[EventType] = EVENT_TYPES) -> Entries:
    """Return the entries of the events of these types, packed one at a time."""
    events = [(one, one.fact) for one in records if isinstance(one.fact, Event)]
    singles = [_entry(one, event) for one, event in events if event.type in kinds]
    return np.concatenate([no_entries(), *singles])


def _entry(one: Record, event: Event) -> Entries:
    time_us = np.array([int(event.time.timestamp()) * 1_000_000 + event.time.microsecond])
    return packed(
        time_us // 1_000_000,
        ties_of(time_us, [event.event_id]),
        np.array([one.item_row], dtype=np.int32),
        np.array([EVENT_CODES[event.type]], dtype=np.uint8),
        np.array([event.rating or event.quantity], dtype=np.float32),
    )


def reference(records: Sequence[Record], owner: tuple[IdKind, str]) -> UserState:
    """Return what `merged` makes of one customer's records, one after the other."""
    mine = [
        one for one in records if isinstance(one.fact, Event) and most_durable(one.fact) == owner
    ]

    def facet_of(facet: Facet) -> Entries:
        singles = [entries_of([one], facet.kinds) for one in mine]
        return reduce(lambda a, b: merged(a, b, facet.limit), singles, no_entries())

    return UserState(*(facet_of(facet) for facet in FACETS))


def assert_same(state: UserState, wanted: UserState) -> None:
    for facet, entries, others in zip(FACETS, state.facets, wanted.facets, strict=True):
        assert entries.tolist() == others.tolist(), facet.name


owners = st.sampled_from([{"user_id": "a"}, {"user_id": "b"}, {"visitor_id": "a"}])


@st.composite
def histories(draw: st.DrawFn) -> list[Record]:
    """Draw events of few instants and ids, so that they tie, with all that an entry can hold."""
    return [
        record(
            draw(st.integers(1, 3)),
            position=position,
            kind=draw(type_names),
            seconds=draw(st.integers(0, 1)) + draw(st.sampled_from([0, 0.003, 0.5])),
            row=draw(st.one_of(st.just(-1), st.integers(0, NO_ROW - 1))),
            quantity=draw(st.floats(0.01, 1_000)),
            **draw(owners),
        )
        for position in range(1, draw(st.integers(8, 31)))
    ]


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[Record], list[list[Record]]]:
    """Draw records, and batches that hold each at least once, in any order.

    What comes again stands under another position, as a record does that was written twice.
    """
    records = draw(histories())
    again = draw(st.lists(st.sampled_from(records), max_size=20))
    repeats = [replace(one, position=one.position + 2**40) for one in again]
    sent = draw(st.permutations([*records, *repeats]))
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
    return UserState(
        *(merged(no_entries(), entries_of(records, facet.kinds), facet.limit) for facet in FACETS)
    )


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_new_events_find_their_place_in_a_facet_that_is_full_or_nearly(
    new_store: NewStore, data: st.DataObject
) -> None:
    facet = data.draw(st.sampled_from(FACETS))
    kinds = st.sampled_from(sorted(facet.kinds))
    n_old = facet.limit + data.draw(st.integers(-2, 2))
    old = [record(n, kind=EventType(data.draw(kinds)), seconds=2 * n) for n in range(1, n_old)]
    places = st.integers(0, 2 * n_old + 4)
    new = [
        record(n + 10_000, kind=EventType(data.draw(kinds)), seconds=data.draw(places), row=-1)
        for n in range(data.draw(st.integers(1, 6)))
    ]

    async def check() -> None:
        async with new_store() as (store, keys):
            await store.apply(old)
            await store.apply(new)

            (state,) = await store.read([[keys.customer(IdKind.USER, "anna")]])

            assert_same(state, whole([*old, *new]))

    asyncio.run(check())


async def test_facets_never_outgrow_their_limits(new_store: NewStore) -> None:
    bought = [record(n, kind=EventType.PURCHASE, seconds=n, row=n) for n in range(1, 1_501)]
    liked = [record(n, kind=EventType.LIKE, seconds=n, row=n) for n in range(2_001, 2_801)]
    told = [record(n, kind=EventType.UNSUBSCRIBE, seconds=n, row=-1) for n in range(3_001, 3_021)]
    shown = [record(n, kind=EventType.IMPRESSION, seconds=n, row=n) for n in range(4_001, 4_201)]
    mailed = [record(n, kind=EventType.EMAIL_SENT, seconds=n, row=-1) for n in range(5_001, 5_091)]

    async with new_store() as (store, keys):
        for some in (bought, liked, told, shown, mailed):
            await store.apply(some)
        (state,) = await store.read([[keys.customer(IdKind.USER, "anna")]])

    assert [len(entries) for entries in state.facets] == [0, 1_024, 500, 8, 100, 50]
    assert rows_of_entries(state.purchases)[[0, -1]].tolist() == [1_500, 477]


async def test_likes_and_hides_are_opinions_newest_first(new_store: NewStore) -> None:
    like = record(1, kind=EventType.LIKE, seconds=10, row=7)
    hide = record(2, kind=EventType.HIDE, seconds=20, row=7)

    async with new_store() as (store, keys):
        await store.apply([hide])
        await store.apply([like])
        (state,) = await store.read([[keys.customer(IdKind.USER, "anna")]])

    kinds = [EVENT_TYPES[code] for code in kinds_of_entries(state.opinions)]
    assert kinds == [EventType.HIDE, EventType.LIKE]
    assert rows_of_entries(state.opinions).tolist() == [7, 7]


async def test_purchases_and_refunds_keep_their_pieces_and_ratings_their_number(
    new_store: NewStore,
) -> None:
    bought = record(1, kind=EventType.PURCHASE, quantity=12.0)
    returned = record(2, kind=EventType.REFUND, seconds=1, quantity=3.0)
    rated = record(3, kind=EventType.RATING, quantity=3.0)

    async with new_store() as (store, keys):
        await store.apply([bought, returned, rated])
        (state,) = await store.read([[keys.customer(IdKind.USER, "anna")]])

    assert quantities_of_entries(state.purchases).tolist() == [3.0, 12.0]
    assert quantities_of_entries(state.opinions).tolist() == [4.0]


async def test_who_unsubscribes_without_naming_an_item_is_remembered(new_store: NewStore) -> None:
    async with new_store() as (store, keys):
        await store.apply([record(1, kind=EventType.UNSUBSCRIBE, row=-1)])
        (state,) = await store.read([[keys.customer(IdKind.USER, "anna")]])

    assert state.unsubscribed
    assert rows_of_entries(state.consents).tolist() == [NO_ROW]


async def test_impressions_and_emails_are_remembered_with_or_without_an_item(
    new_store: NewStore,
) -> None:
    shown = record(1, kind=EventType.IMPRESSION, row=7)
    sent = record(2, kind=EventType.EMAIL_SENT, row=-1)
    opened = record(3, kind=EventType.EMAIL_OPENED, seconds=1, row=7)

    async with new_store() as (store, keys):
        await store.apply([shown, sent, opened])
        (state,) = await store.read([[keys.customer(IdKind.USER, "anna")]])

    assert rows_of_entries(state.shown).tolist() == [7]
    assert rows_of_entries(state.mailed).tolist() == [7, NO_ROW]


@pytest.mark.parametrize("kind", [EventType.SEARCH, EventType.CART_VIEW, EventType.CATEGORY_VIEW])
async def test_types_that_no_facet_remembers_make_no_customer(
    new_store: NewStore, kind: EventType
) -> None:
    async with new_store() as (store, keys):
        await store.apply([record(1, kind=kind, row=-1)])
        (state,) = await store.read([[keys.customer(IdKind.USER, "anna")]])

    assert not state


async def test_several_keys_of_a_query_are_joined_as_one_customer(new_store: NewStore) -> None:
    known = record(1, kind=EventType.PURCHASE, seconds=5, row=1, user_id="anna")
    browsed = record(2, seconds=9, row=2, visitor_id="v")

    async with new_store() as (store, keys):
        await store.apply([known, browsed])
        anna, visitor = keys.customer(IdKind.USER, "anna"), keys.customer(IdKind.VISITOR, "v")
        both, one, none = await store.read([[anna, visitor], [visitor], []])

    assert rows_of_entries(both.history).tolist() == [2]
    assert rows_of_entries(both.purchases).tolist() == [1]
    assert_same(one, UserState(both.history, *UserState.unknown().facets[1:]))
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


async def test_position_moves_from_none_and_from_the_expected_one_alone(
    new_store: NewStore,
) -> None:
    high = Position(2**60)

    async with new_store() as (store, _):
        none = await store.applied_through()
        moved = [
            await store.set_applied_through(Position(5), expected=Position(4)),
            await store.set_applied_through(Position(5), expected=None),
            await store.set_applied_through(Position(6), expected=None),
            await store.set_applied_through(high, expected=Position(4)),
            await store.set_applied_through(high, expected=Position(5)),
        ]
        after = await store.applied_through()

    assert (none, after) == (None, high)
    assert moved == [False, True, False, False, True]


async def test_position_never_steps_back(new_store: NewStore) -> None:
    async with new_store() as (store, _):
        with pytest.raises(ValueError, match="step back"):
            await store.set_applied_through(Position(4), expected=Position(5))
