from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsys.context import Contexts
from recsys.events import EVENT_CODES, EventType
from recsys.ids import ItemId, Vocabulary
from recsys.interactions import Interactions
from recsys.interest import DEFAULT_WEIGHTS, Interest
from recsys.query import Query, Tier
from recsys.state import ENTRY, FACETS, UserState, merged, no_entries
from tests import shop

N_USERS, N_ITEMS = 3, 6
START = 1_700_000_000
NOW = datetime.fromtimestamp(START + 90 * shop.DAY, UTC)
VOCABULARY = Vocabulary.of([f"item {row}" for row in range(N_ITEMS)])
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
            for position, (who, row, kind, second, quantity) in enumerate(log, start=1):
                if who == user and kind in facet.kinds:
                    packed = (START + second, position, row, EVENT_CODES[kind], min(quantity, 255))
                    kept = merged(kept, np.array([packed], dtype=ENTRY), facet.limit)
            facets.append(kept)
        states.append(UserState(*facets))
    return states


def _interactions(log: list[tuple[int, int, EventType, int, int]]) -> Interactions:
    order = sorted(range(len(log)), key=lambda place: (log[place][3], place))
    users, items, kinds, seconds, quantities = zip(*(log[place] for place in order), strict=True)
    return Interactions(
        users=np.array(users, dtype=np.int32),
        items=np.array(items, dtype=np.int32),
        kinds=np.array([EVENT_CODES[kind] for kind in kinds], dtype=np.uint8),
        quantities=np.array(quantities, dtype=np.float32),
        times=np.array([START + second for second in seconds], dtype="datetime64[s]"),
        positions=np.array(order, dtype=np.int64) + 1,
        baskets=np.zeros(len(log), dtype=np.int32),
        n_users=N_USERS,
        n_items=N_ITEMS,
    )


@given(log=st.lists(rows_of_events, min_size=1, max_size=260))
def test_replay_sees_a_customer_as_serving_would(
    log: list[tuple[int, int, EventType, int, int]],
) -> None:
    queries = [Query("home", NOW, user_id=f"u{user}") for user in range(N_USERS)]
    served = Contexts.resolve(queries, _states(log), vocabulary=VOCABULARY, interest=INTEREST)

    replayed = Contexts.replay(
        queries,
        _interactions(log),
        np.arange(N_USERS, dtype=np.int32),
        vocabulary=VOCABULARY,
        interest=INTEREST,
    )

    for mine, theirs in (
        (replayed.history, served.history),
        (replayed.purchases, served.purchases),
        (replayed.opinions, served.opinions),
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
    packed = np.array([(START, 2, N_ITEMS, EVENT_CODES[EventType.CLICK], 1)], dtype=ENTRY)
    newer = UserState(packed, no_entries(), no_entries())

    contexts = Contexts.resolve(
        [Query("home", NOW, user_id="u")], [newer], vocabulary=VOCABULARY, interest=INTEREST
    )

    assert contexts.history.rows.tolist() == []


def test_the_tier_says_what_an_answer_rests_on() -> None:
    known, unknown = shop.bought("bread"), UserState.unknown()
    asked = [
        shop.query(),
        shop.query(user_id="", session_id="s"),
        shop.query(user_id="new", seeds=(ItemId("milk"),)),
        shop.query(user_id="new"),
    ]

    contexts = shop.contexts([known, known, unknown, unknown], asked)

    assert contexts.tiers() == [Tier.PERSONAL, Tier.SESSION, Tier.SESSION, Tier.POPULAR]
