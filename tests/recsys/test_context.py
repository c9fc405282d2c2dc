from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.assortment import Assortment
from recsys.catalog import Catalog
from recsys.context import Contexts
from recsys.events import EVENT_CODES, EventType
from recsys.ids import ItemId, Vocabulary
from recsys.interactions import Interactions, rolled_up
from recsys.interest import DEFAULT_WEIGHTS, Interest
from recsys.items import Item
from recsys.pipeline.trending_source import knowing
from recsys.query import Query, Tier
from recsys.state import (
    FACETS,
    HISTORY,
    MAILED,
    OPINIONS,
    SHOWN,
    Entries,
    UserState,
    merged,
    no_entries,
    packed,
)
from tests import shop

N_USERS, N_ITEMS = 3, 6
START = 1_700_000_000
NOW = datetime.fromtimestamp(START + 90 * shop.DAY, UTC)
VOCABULARY = Vocabulary.of([f"item {row}" for row in range(N_ITEMS)])
ASSORTMENT = Assortment.of(Catalog.of(VOCABULARY, {}))
INTEREST = Interest.of_types(DEFAULT_WEIGHTS, 20.0)

rows_of_events = st.tuples(
    st.integers(0, N_USERS - 1),
    st.integers(0, N_ITEMS - 1),
    st.sampled_from(EventType),
    st.integers(0, 80 * shop.DAY),
    st.integers(1, 300),
)


def _states(log: list[tuple[int, int, EventType, int, int]]) -> list[UserState]:
    """Apply the log record by record, as serving does."""
    states = []
    for user in range(N_USERS):
        facets = []
        for facet in FACETS:
            kept = no_entries()
            for tie, (who, row, kind, second, quantity) in enumerate(log):
                if who == user and kind in facet.kinds:
                    kept = merged(kept, _entry(kind, row, second, tie, quantity), facet.limit)
            facets.append(kept)
        states.append(UserState(*facets))
    return states


def _entry(kind: EventType, row: int, second: int, tie: int = 0, quantity: int = 1) -> Entries:
    return packed(
        np.array([START + second], dtype=np.int64),
        np.array([tie], dtype=np.uint32),
        np.array([row], dtype=np.int32),
        np.array([EVENT_CODES[kind]], dtype=np.uint8),
        np.array([quantity], dtype=np.float32),
    )


def _interactions(log: list[tuple[int, int, EventType, int, int]]) -> Interactions:
    order = sorted(range(len(log)), key=lambda place: (log[place][3], place))
    users, items, kinds, seconds, quantities = zip(*(log[place] for place in order), strict=True)
    return Interactions(
        users=np.array(users, dtype=np.int32),
        items=np.array(items, dtype=np.int32),
        kinds=np.array([EVENT_CODES[kind] for kind in kinds], dtype=np.uint8),
        quantities=np.array(quantities, dtype=np.float32),
        times=np.array([START + second for second in seconds], dtype="datetime64[s]"),
        ties=np.array(order, dtype=np.uint32),
        baskets=np.zeros(len(log), dtype=np.int32),
        n_users=N_USERS,
        n_items=N_ITEMS,
    )


@given(log=st.lists(rows_of_events, min_size=1, max_size=260))
def test_replay_sees_a_customer_as_serving_would(
    log: list[tuple[int, int, EventType, int, int]],
) -> None:
    queries = [Query("home", NOW, user_id=f"u{user}") for user in range(N_USERS)]
    served = Contexts.resolve(queries, _states(log), assortment=ASSORTMENT, interest=INTEREST)

    replayed = Contexts.replay(
        queries,
        _interactions(log),
        np.arange(N_USERS, dtype=np.int32),
        assortment=ASSORTMENT,
        interest=INTEREST,
    )

    for mine, theirs in (
        (replayed.history, served.history),
        (replayed.purchases, served.purchases),
        (replayed.opinions, served.opinions),
        (replayed.lines.of(SHOWN), served.lines.of(SHOWN)),
        (replayed.lines.of(MAILED), served.lines.of(MAILED)),
    ):
        assert mine.offsets.tolist() == theirs.offsets.tolist()
        assert mine.rows.tolist() == theirs.rows.tolist()
        assert mine.times.tolist() == theirs.times.tolist()
        assert mine.kinds.tolist() == theirs.kinds.tolist()
        assert mine.quantities.tolist() == theirs.quantities.tolist()
    assert replayed.interests.rows.tolist() == served.interests.rows.tolist()
    np.testing.assert_allclose(replayed.interests.weights, served.interests.weights, rtol=1e-5)


def test_interest_halves_with_age_and_adds_up_with_diminishing_returns() -> None:
    twice = shop.state(
        (EventType.PURCHASE, "bread", 30.0),
        (EventType.PURCHASE, "bread", 30.0),
        (EventType.DETAIL_VIEW, "soap", 0.0),
    )

    interests = shop.contexts([twice]).interests

    weight = dict(zip(shop.names(interests.rows), interests.weights.tolist(), strict=True))
    assert weight == {
        "bread": np.float32(np.log(1 + 2 * 0.5)),
        "soap": np.float32(np.log1p(np.float32(0.3))),
    }


def test_unknown_seeds_and_exclusions_are_reported_and_known_ones_count_once() -> None:
    asked = shop.query(
        seeds=(ItemId("milk"), ItemId("nothing"), ItemId("milk")), excluded=(ItemId("never"),)
    )

    contexts = shop.contexts([UserState.unknown()], [asked])

    assert shop.names(contexts.seeds.at(0)) == ["milk"]
    assert contexts.missing == (("nothing", "never"),)


def test_items_newer_than_the_bundle_are_left_out_of_the_history() -> None:
    newer = replace(UserState.unknown(), history=_entry(EventType.CLICK, N_ITEMS, 0))

    contexts = Contexts.resolve(
        [Query("home", NOW, user_id="u")], [newer], assortment=ASSORTMENT, interest=INTEREST
    )

    assert contexts.history.rows.tolist() == []


def test_what_lies_days_ahead_comes_from_a_wrong_clock_and_does_not_count() -> None:
    ahead = _entry(EventType.CLICK, 1, 93 * shop.DAY)
    known = merged(ahead, _entry(EventType.CLICK, 2, 89 * shop.DAY), HISTORY.limit)

    contexts = Contexts.resolve(
        [Query("home", NOW, user_id="u")],
        [replace(UserState.unknown(), history=known)],
        assortment=ASSORTMENT,
        interest=INTEREST,
    )

    assert contexts.history.rows.tolist() == [2]


def test_a_good_rating_is_interest_and_a_bad_one_is_none() -> None:
    rated = [_entry(EventType.RATING, row, 0, quantity=row) for row in (1, 3, 4, 5)]
    said = reduce(lambda a, b: merged(a, b, OPINIONS.limit), rated)

    interests = Contexts.resolve(
        [Query("home", datetime.fromtimestamp(START, UTC), user_id="u")],
        [replace(UserState.unknown(), opinions=said)],
        assortment=ASSORTMENT,
        interest=INTEREST,
    ).interests

    assert interests.rows.tolist() == [4, 5]
    np.testing.assert_allclose(interests.weights, np.log1p([0.5, 1.0]), rtol=1e-6)


def test_the_tier_says_what_an_answer_rests_on() -> None:
    known, unknown = shop.bought("bread"), UserState.unknown()
    asked = [
        shop.query(),
        shop.query(user_id="", session_id="s"),
        shop.query(user_id="new", seeds=(ItemId("milk"),)),
        shop.query(user_id="new"),
    ]

    contexts = shop.contexts([known, known, unknown, unknown], asked)

    assert knowing(contexts) == [Tier.PERSONAL, Tier.SESSION, Tier.SESSION, Tier.POPULAR]


GROUPED = Catalog.of(
    VOCABULARY,
    {
        row: Item(ItemId(f"item {row}"), group_id="shirt" if row in (2, 4) else "")
        for row in range(N_ITEMS)
    },
)


def test_variant_counts_as_its_product() -> None:
    known = replace(
        UserState.unknown(),
        history=_entry(EventType.CLICK, 4, 0),
        purchases=_entry(EventType.PURCHASE, 4, 0),
        opinions=_entry(EventType.HIDE, 4, 0),
        shown=_entry(EventType.IMPRESSION, 4, 0),
    )
    asked = Query("home", NOW, user_id="u", seeds=(ItemId("item 4"),), excluded=(ItemId("item 4"),))

    contexts = Contexts.resolve(
        [asked], [known], assortment=Assortment.of(GROUPED), interest=INTEREST
    )

    lines = (contexts.history, contexts.purchases, contexts.opinions, contexts.lines.of(SHOWN))
    found = (*lines, contexts.interests, contexts.seeds, contexts.excluded)
    assert [one.rows.tolist() for one in found] == [[2]] * 7


def test_two_variants_in_a_basket_are_one_seed() -> None:
    asked = Query("home", NOW, seeds=(ItemId("item 4"), ItemId("item 2")))

    contexts = Contexts.resolve(
        [asked], [UserState.unknown()], assortment=Assortment.of(GROUPED), interest=INTEREST
    )

    assert contexts.seeds.rows.tolist() == [2]


@given(log=st.lists(rows_of_events, min_size=1, max_size=60))
def test_events_rolled_up_before_leave_the_same_history(
    log: list[tuple[int, int, EventType, int, int]],
) -> None:
    users, assortment = np.arange(N_USERS, dtype=np.int32), Assortment.of(GROUPED)
    queries = [Query("home", NOW, user_id=f"u{user}") for user in range(N_USERS)]
    plain = _interactions(log)

    lines = [
        Contexts.replay(queries, one, users, assortment=assortment, interest=INTEREST).history
        for one in (plain, rolled_up(plain, GROUPED.primaries))
    ]

    assert lines[0].rows.tolist() == lines[1].rows.tolist()
    assert not np.any(lines[0].rows == 4)


def test_what_few_stages_ask_for_is_read_once_for_all_parts_of_a_batch() -> None:
    known = [shop.state((EventType.IMPRESSION, item, 1.0)) for item in ("bread", "tea")]
    contexts = shop.contexts(known)

    second = contexts.of(np.array([1], dtype=np.int32)).lines.of(SHOWN)

    assert shop.names(second.rows) == ["tea"]
    assert set(contexts.lines.made) == {"history", "purchases", "opinions", "shown"}


def test_queries_of_two_markets_are_no_batch() -> None:
    nobody = [UserState.unknown()] * 2

    with pytest.raises(ValueError, match="2 markets"):
        shop.contexts(nobody, [shop.query(market="AT"), shop.query(market="DE")])
