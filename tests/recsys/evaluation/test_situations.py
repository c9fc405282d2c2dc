"""Sessions that go on, and things that are due: what is asked, and what was known by then."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsys.assortment import Assortment
from recsys.catalog import Catalog
from recsys.evaluation.replay import Cases, cases_of, contexts_of
from recsys.evaluation.splits import Split
from recsys.events import EVENT_CODES, EventType
from recsys.ids import ItemId, Vocabulary
from recsys.interactions import Interactions
from recsys.interest import DEFAULT_WEIGHTS, Interest
from recsys.items import Item
from recsys.pipeline.placement import Situation

START = np.datetime64("2026-01-01T00:00:00", "s")
DAY = 1_440
N_ITEMS = 20
VOCABULARY = Vocabulary.of([f"item {row}" for row in range(N_ITEMS)])
ASSORTMENT = Assortment.of(Catalog.of(VOCABULARY, {}))
INTEREST = Interest.of_types(DEFAULT_WEIGHTS, 20.0)
VIEW, CART, BUY = EventType.DETAIL_VIEW, EventType.ADD_TO_CART, EventType.PURCHASE

Line = tuple[int, int, EventType, float]
"""User, item, what was done, and the minute since the start."""


def happened(*lines: Line) -> Interactions:
    """Return these events; a user's day is a basket."""
    ordered = sorted(lines, key=lambda line: line[3])
    users = np.array([line[0] for line in ordered], dtype=np.int32)
    minutes = np.array([line[3] for line in ordered])
    return Interactions(
        users,
        np.array([line[1] for line in ordered], dtype=np.int32),
        np.array([EVENT_CODES[line[2]] for line in ordered], dtype=np.uint8),
        np.ones(len(users), dtype=np.float32),
        START + np.round(minutes * 60).astype("timedelta64[s]"),
        np.arange(len(users), dtype=np.uint32),
        (users * 1_000 + minutes // DAY).astype(np.int32),
        int(users.max()) + 1,
        N_ITEMS,
    )


def split_of(*lines: Line, day: float = 10.0) -> Split:
    return Split.at(happened(*lines), START + np.timedelta64(round(day * 86_400), "s"), 28)


def cases(split: Split, situation: Situation = Situation.SESSION, seed: int = 0) -> Cases:
    return cases_of("list", situation, split, np.random.default_rng(seed))


def found(split: Split, situation: Situation, seed: int = 0) -> set[tuple[object, ...]]:
    """Return each asker's user, second of asking, seeds and targets."""
    asked = cases(split, situation, seed)
    return {
        (
            int(user),
            int((instant - START).astype(np.int64)),
            tuple(asked.seeds.at(place).tolist()),
            tuple(sorted(asked.targets.at(place).tolist())),
        )
        for place, (user, instant) in enumerate(zip(asked.users, asked.instants, strict=True))
    }


def seen(split: Split, asked: Cases) -> list[list[tuple[int, float]]]:
    """Return the item and minute of all that each case's asker browsed and bought, as known."""
    lists = []
    for places, contexts in contexts_of(
        asked, split.known, assortment=ASSORTMENT, interest=INTEREST, limit=5
    ):
        for place in range(len(places)):
            both = []
            for line in (contexts.history, contexts.purchases):
                own = line.of_queries(np.array([place], dtype=np.int32))
                minutes = (own.times - START) / np.timedelta64(60, "s")
                both += list(zip(own.rows.tolist(), minutes.tolist(), strict=True))
            lists.append(sorted(both, key=lambda one: (one[1], one[0])))
    return lists


def test_a_session_ends_with_a_break_of_half_an_hour_and_with_its_customer() -> None:
    events = happened((0, 1, VIEW, 0), (1, 1, VIEW, 10), (0, 2, VIEW, 30), (0, 3, VIEW, 61))

    sessions = events.sessions().tolist()

    assert sessions[0] == sessions[2]
    assert len({sessions[0], sessions[1], sessions[3]}) == 3


def test_a_session_is_cut_behind_a_look_and_wants_what_comes_anew() -> None:
    split = split_of(
        (0, 1, VIEW, 11 * DAY),
        (0, 2, VIEW, 11 * DAY + 5),
        (0, 1, VIEW, 11 * DAY + 6),
        (0, 3, CART, 11 * DAY + 7),
        (0, 4, VIEW, 11 * DAY + 60),
    )

    one_of = {tuple(found(split, Situation.SESSION, seed)) for seed in range(20)}

    begin = 11 * DAY * 60
    assert one_of == {
        ((0, begin + 1, (1,), (2, 3)),),
        ((0, begin + 5 * 60 + 1, (2,), (3,)),),
        ((0, begin + 6 * 60 + 1, (1,), (3,)),),
    }


def test_a_case_inside_a_session_knows_its_earlier_steps_and_nothing_later() -> None:
    split = split_of(
        (0, 9, BUY, 3 * DAY),
        (0, 1, VIEW, 11 * DAY),
        (0, 2, VIEW, 11 * DAY + 5),
        (0, 3, BUY, 11 * DAY + 5.02),
        (1, 5, VIEW, 11 * DAY + 1),
    )
    asked = next(one for seed in range(20) if (one := cases(split, seed=seed)).seeds.rows == [2])

    known = seen(split, asked)

    assert asked.targets.rows.tolist() == [3]
    assert known == [[(9, 3 * DAY), (1, 11 * DAY), (2, 11 * DAY + 5)]]


def test_whoever_was_never_seen_before_is_asked_in_a_session() -> None:
    split = split_of((0, 1, VIEW, 0), (1, 1, VIEW, 11 * DAY), (1, 2, VIEW, 11 * DAY + 1))

    asked = cases(split)

    assert asked.users.tolist() == [1]


def test_items_of_one_second_and_orders_alone_are_no_session_to_foresee() -> None:
    split = split_of(
        (0, 1, VIEW, 11 * DAY),
        (0, 2, VIEW, 11 * DAY),
        (1, 1, BUY, 11 * DAY),
        (1, 2, BUY, 11 * DAY + 5),
        (2, 1, VIEW, 11 * DAY),
        (2, 1, CART, 11 * DAY + 1),
    )

    asked = cases(split)

    assert len(asked) == 0


def test_nobody_speaks_for_more_than_three_sessions() -> None:
    lines = [
        (user, item, VIEW, (11 + day) * DAY + item)
        for user, days in ((0, 9), (1, 2))
        for day in range(days)
        for item in (1, 2)
    ]

    asked = cases(split_of(*lines))

    assert np.bincount(asked.users).tolist() == [3, 2]
    assert np.all(asked.instants[1:] >= asked.instants[:-1])


def test_two_sessions_of_one_customer_are_each_asked_with_what_was_known_by_then() -> None:
    first, second = 11 * DAY, 12 * DAY
    split = split_of(
        (0, 1, VIEW, first),
        (0, 2, VIEW, first + 1),
        (0, 3, VIEW, second),
        (0, 4, VIEW, second + 1),
    )
    asked = cases(split)

    known = seen(split, asked)

    assert known == [[(1, first)], [(1, first), (2, first + 1), (3, second)]]


def test_what_is_due_was_bought_before_and_is_bought_again_within_a_week() -> None:
    repeats = [(user, 1, BUY, day * DAY) for user in (0, 1) for day in (1, 4)]
    split = split_of(
        *repeats,
        (0, 2, BUY, 5 * DAY),
        (0, 2, BUY, 11 * DAY),
        (0, 3, BUY, 11 * DAY),
        (0, 1, BUY, 18 * DAY),
        (1, 1, BUY, 12 * DAY),
        (2, 4, BUY, 5 * DAY),
        (2, 4, BUY, 11 * DAY),
    )

    due = found(split, Situation.DUE)

    split_second = 10 * DAY * 60
    assert due == {(0, split_second, (), (2,)), (1, split_second, (), (1,))}


def test_cases_that_ask_before_and_behind_a_dated_change_each_see_their_own_shelf() -> None:
    opens = datetime(2026, 1, 21, tzinfo=UTC)
    dated = Item(ItemId("item 7"), available_from=opens)
    assortment = Assortment.of(Catalog.of(VOCABULARY, {7: dated}))
    looks = [(user, item) for user in (0, 1) for item in (1, 2)]
    split = split_of(*((user, item, VIEW, (15 + 10 * user) * DAY + item) for user, item in looks))

    batches = list(
        contexts_of(cases(split), split.known, assortment=assortment, interest=INTEREST, limit=5)
    )

    assert [list(places) for places, _ in batches] == [[0], [1]]
    assert [bool(contexts.shelf.allowed[7]) for _, contexts in batches] == [False, True]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.integers(0, 5),
            st.sampled_from((VIEW, CART, BUY)),
            st.builds(
                lambda day, minute: DAY * day + minute, st.integers(0, 12), st.integers(0, 20)
            ),
        ),
        min_size=2,
        max_size=60,
        unique=True,
    ),
    st.sampled_from(Situation),
)
def test_a_case_knows_all_of_its_own_past_and_none_of_the_future(
    lines: list[Line], situation: Situation
) -> None:
    split = split_of(*lines)
    past: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for user, item, _, minute in lines:
        past[user].append((minute, item))

    asked = cases(split, situation)
    known = seen(split, asked) if len(asked) else []

    for place, instant in enumerate(asked.instants):
        until = float((instant - START) / np.timedelta64(60, "s"))
        own = sorted(one for one in past[int(asked.users[place])] if one[0] < until)
        assert [(minute, item) for item, minute in known[place]] == own
