"""How items go with each other, learned from a handful of baskets and sessions."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from recsys.events import EVENT_CODES, EventType
from recsys.interactions import Interactions
from recsys.models.neighbors import NeighborModel
from recsys.models.sessions import SessionModel
from training.fit.sessions import SessionsConfig, fit_sessions
from training.fit.together import TogetherConfig, fit_together, less_alternatives
from training.fit.viewed import ViewedConfig, fit_viewed

NOW = np.datetime64("2026-01-31T00:00:00", "s")
PLAIN = TogetherConfig(half_life_days=0.0, smoothing=0.0, exponent=0.5, soon=0.0, soon_days=7.0)
LOOKS = ViewedConfig(decay=0.5, smoothing=0.0, exponent=0.0)
KEPT = SessionsConfig(decay=0.6, rarity=1.0, most=100, most_an_item=100, most_items=20)
PURCHASE, VIEW = EventType.PURCHASE, EventType.DETAIL_VIEW

Line = tuple[int, int, float, EventType]
"""A user, an item, minutes before `NOW`, what was done."""


def happened(*lines: Line, n_items: int = 8, n_users: int = 12) -> Interactions:
    """Return these events; purchases of one user and minute are one basket."""
    ordered = sorted(lines, key=lambda line: -line[2])
    users, items, ages, kinds = zip(*ordered, strict=True)
    _, baskets = np.unique(np.array([users, ages]).T, axis=0, return_inverse=True)
    return Interactions(
        np.array(users, dtype=np.int32),
        np.array(items, dtype=np.int32),
        np.array([EVENT_CODES[kind] for kind in kinds], dtype=np.uint8),
        np.ones(len(users), dtype=np.float32),
        NOW - np.round(np.array(ages) * 60).astype("timedelta64[s]"),
        np.arange(len(users), dtype=np.uint32),
        baskets.ravel().astype(np.int32),
        n_users,
        n_items,
    )


def baskets(*found: tuple[int, ...], days: float = 1.0) -> list[Line]:
    """Return one basket after the other, each of another user, so many days apart."""
    return [
        (user, item, (user + 1) * days * 1_440.0, PURCHASE)
        for user, items in enumerate(found)
        for item in items
    ]


def looks(user: int, *items: int, ago: float = 100.0) -> list[Line]:
    """Return looks at these items, a minute after each other, the first so many minutes ago."""
    return [(user, item, ago - place, VIEW) for place, item in enumerate(items)]


def of(model: NeighborModel, item: int) -> dict[int, float]:
    own = slice(model.offsets[item], model.offsets[item + 1])
    return dict(zip(model.rows[own].tolist(), model.similarities[own].tolist(), strict=True))


def nearest(model: NeighborModel, item: int) -> list[int]:
    found = of(model, item)
    return sorted(found, key=lambda row: (-found[row], row))


def sessions_in(model: SessionModel) -> list[list[int]]:
    return [
        model.rows[start:end].tolist()
        for start, end in zip(model.offsets[:-1], model.offsets[1:], strict=True)
    ]


def test_neighbours_are_items_of_the_same_baskets_and_never_the_item_itself() -> None:
    model = fit_together(happened(*baskets((0, 1), (0, 1), (2, 3))), NOW, PLAIN, k=3)

    assert [nearest(model, item) for item in range(5)] == [[1], [0], [3], [2], []]


def test_an_item_keeps_the_best_k_neighbours() -> None:
    lines = baskets((0, 1), (0, 1), tuple(range(8)))

    model = fit_together(happened(*lines), NOW, PLAIN, k=3)

    assert np.diff(model.offsets).max() == 3
    assert nearest(model, 0)[0] == 1


def test_what_was_bought_once_by_chance_is_behind_what_is_bought_together_often() -> None:
    lines = baskets((0, 1), (0, 1), (0, 1), (0, 2), *[(1, 4)] * 8)
    smoothed = TogetherConfig(0.0, 3.0, 0.5, 0.0, 7.0)

    by_chance = fit_together(happened(*lines), NOW, PLAIN, k=2)
    certain = fit_together(happened(*lines), NOW, smoothed, k=2)

    assert nearest(by_chance, 0) == [2, 1]
    assert nearest(certain, 0) == [1, 2]


def test_the_more_of_popularity_is_divided_out_the_more_the_particular_counts() -> None:
    lines = baskets((0, 1), (0, 1), (0, 2), (0, 2), (0, 2), *[(2, 5)] * 6)

    popular = fit_together(happened(*lines), NOW, TogetherConfig(0, 0, 0, 0, 7.0), k=3)
    particular = fit_together(happened(*lines), NOW, PLAIN, k=3)

    assert nearest(popular, 0)[0] == 2
    assert nearest(particular, 0)[0] == 1


def test_an_old_basket_counts_less_than_a_new_one() -> None:
    lines = baskets((0, 1), (0, 2), days=30.0)
    fading = TogetherConfig(30.0, 0.0, 0.0, 0.0, 7.0)

    model = fit_together(happened(*lines), NOW, fading, k=3)

    assert of(model, 0)[2] == pytest.approx(of(model, 0)[1] / 2)


def test_what_a_customer_buys_soon_after_goes_with_it_where_that_counts() -> None:
    lines: list[Line] = [(0, 0, 2_880.0, PURCHASE), (0, 1, 1_440.0, PURCHASE)]
    lines += [(1, 0, 2_880.0, PURCHASE), (1, 2, 40_000.0, PURCHASE)]

    apart = fit_together(happened(*lines), NOW, PLAIN, k=3)
    soon = fit_together(happened(*lines), NOW, TogetherConfig(0, 0, 0.5, 0.5, 7.0), k=3)

    assert nearest(apart, 0) == []
    assert nearest(soon, 0) == [1]


def test_a_pair_of_a_large_basket_counts_less() -> None:
    model = fit_together(
        happened(*baskets((0, 1), (0, 2, 3, 4, 5))), NOW, TogetherConfig(0, 0, 0, 0, 7.0), k=5
    )

    assert of(model, 0)[1] > of(model, 0)[2] > 0


def test_what_is_looked_at_in_its_place_falls_behind_what_goes_with_it() -> None:
    together = fit_together(
        happened(*baskets((0, 1), (0, 1), (0, 2))), NOW, TogetherConfig(0, 0, 0, 0, 7.0), k=3
    )
    viewed = fit_viewed(happened(*looks(0, 0, 1)), ViewedConfig(0.5, 0.0, 0.5), k=3)

    model = less_alternatives(together, viewed, 0.8, 3)

    assert nearest(together, 0) == [1, 2]
    assert nearest(model, 0) == [2, 1]
    assert nearest(less_alternatives(together, viewed, 0.8, 1), 0) == [2]


def test_any_number_of_threads_finds_the_same_neighbours() -> None:
    rng = np.random.default_rng(3)
    lines = baskets(*[tuple(rng.choice(40, 6, replace=False).tolist()) for _ in range(60)])
    known = happened(*lines, n_items=40, n_users=60)

    one, two = (fit_together(known, NOW, PLAIN, k=10, threads=n) for n in (1, 2))

    assert_array_equal(one.rows, two.rows)
    assert_array_equal(one.similarities, two.similarities)


def test_what_is_looked_at_beside_an_item_counts_by_how_near() -> None:
    model = fit_viewed(happened(*looks(0, 0, 1, 2)), LOOKS, k=3)

    assert of(model, 0) == pytest.approx({1: 1.0, 2: 0.5})
    assert of(model, 2) == pytest.approx({0: 0.5, 1: 1.0})


def test_looks_of_two_sessions_or_two_customers_are_not_beside_each_other() -> None:
    lines = [*looks(0, 0, ago=100.0), *looks(0, 1, ago=69.0), *looks(1, 2, ago=100.0)]

    model = fit_viewed(happened(*lines), LOOKS, k=3)

    assert len(model.rows) == 0


def test_purchases_are_no_looks_and_without_looks_there_is_no_neighbour() -> None:
    model = fit_viewed(happened(*baskets((0, 1))), LOOKS, k=3)

    assert (len(model), len(model.rows)) == (8, 0)


def test_sessions_are_kept_newest_first_each_item_once() -> None:
    lines = [*looks(0, 5, 4, 5, ago=900.0), *looks(1, 1, 2, ago=50.0), *looks(2, 3, ago=10.0)]

    model = fit_sessions(happened(*lines), KEPT)

    assert sessions_in(model) == [[1, 2], [4, 5]]


def test_what_is_kept_of_sessions_is_bounded_to_the_newest() -> None:
    lines = [line for user in range(5) for line in looks(user, user, 5, 6, ago=900.0 - 60 * user)]
    config = SessionsConfig(decay=0.6, rarity=1.0, most=3, most_an_item=2, most_items=2)

    model = fit_sessions(happened(*lines), config)

    assert sessions_in(model) == [[5, 6]] * 3
    assert np.diff(model.item_offsets).tolist() == [0, 0, 0, 0, 0, 2, 2, 0]
    assert model.sessions.tolist() == [0, 1, 0, 1]


def test_what_stands_in_many_sessions_counts_less_where_rarity_counts() -> None:
    known = happened(*looks(0, 0, 1), *looks(1, 0, 2))

    rare = fit_sessions(known, KEPT)
    even = fit_sessions(known, SessionsConfig(0.6, 0.0, 100, 100, 20))

    assert rare.rarities[0] < rare.rarities[1]
    assert set(even.rarities.tolist()) == {1.0}


def test_a_shop_without_sessions_has_a_model_of_none() -> None:
    model = fit_sessions(happened((0, 3, 10.0, VIEW)), KEPT)

    assert (len(model), sessions_in(model)) == (8, [])
