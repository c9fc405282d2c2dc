from __future__ import annotations

import numpy as np
import pytest

from recsys.arrays import Times
from recsys.events import EventType
from recsys.habits import Habits, habits_of, habits_with
from tests import shop

NOW = np.datetime64(shop.NOW.replace(tzinfo=None), "s")


def habits(*days: float, item: str = "milk") -> Habits:
    """Return the habit of who bought an item so many days ago each."""
    events = [(EventType.PURCHASE, item, day) for day in days]
    line = shop.contexts([shop.state(*events, (EventType.PURCHASE, "tea", 2.0))]).purchases
    return habits_of(line, np.zeros(1, dtype=np.int32), np.array([shop.ROW["milk"]], np.int32))


def days_ahead(due: Times) -> float:
    return float((due[0] - NOW) / np.timedelta64(1, "D"))


def test_purchase_is_due_a_usual_gap_after_the_last() -> None:
    # Gaps of 10, 8 and 30 days: the usual one is 10.
    found = habits(3.0, 13.0, 21.0, 51.0)

    assert found.gaps.tolist() == [10 * shop.DAY]
    assert days_ahead(found.due()) == 7.0


def test_even_number_of_gaps_is_halved_in_the_middle() -> None:
    found = habits(1.0, 5.0, 11.0)

    assert found.gaps.tolist() == [5 * shop.DAY]


@pytest.mark.parametrize("days", [(), (3.0,), (3.0, 13.0), (3.0, 3.1, 3.2, 13.0)])
def test_fewer_than_three_days_of_buying_are_no_habit(days: tuple[float, ...]) -> None:
    found = habits(*days)

    assert found.n_times.tolist() == [len(days)]
    assert np.isnat(found.due()).all()
    assert found.quantities.tolist() == [0.0]
    assert not found.near(np.array([NOW])).any()


def test_quantity_is_that_of_a_usual_day_of_buying() -> None:
    # Two pieces in one visit, then one, then one.
    found = habits(3.0, 3.0, 13.0, 23.0)

    assert found.n_times.tolist() == [4]
    assert found.quantities.tolist() == [1.0]
    assert habits(3.0, 3.0, 13.0, 13.01, 23.0).quantities.tolist() == [2.0]


@pytest.mark.parametrize(
    ("last", "near", "lasting"),
    [(1.0, False, True), (6.0, True, True), (29.0, True, True), (31.0, False, False)],
)
def test_habit_is_near_from_half_a_gap_on_and_over_after_three(
    last: float, near: bool, lasting: bool
) -> None:
    found, now = habits(last, last + 10, last + 20), np.array([NOW])

    assert found.near(now).tolist() == [near]
    assert found.lasting(now).tolist() == [lasting]


def test_pairs_are_answered_in_their_order_and_repeats_alike() -> None:
    events = [(EventType.PURCHASE, "milk", day) for day in (1.0, 2.0, 3.0)]
    line = shop.contexts([shop.state(), shop.state(*events)]).purchases
    queries = np.array([1, 0, 1], dtype=np.int32)
    rows = np.full(3, shop.ROW["milk"], dtype=np.int32)

    found = habits_of(line, queries, rows)

    assert found.n_times.tolist() == [3, 0, 3]


@pytest.mark.parametrize("days", [(), (3.0,), (1.0, 5.0, 11.0)])
def test_habits_found_for_a_whole_page_are_those_of_each_list(days: tuple[float, ...]) -> None:
    events = [(EventType.PURCHASE, "milk", day) for day in days]
    first = shop.state((EventType.PURCHASE, "tea", 2.0)) if days else shop.state()
    contexts = shop.contexts([first, shop.state(*events)])
    queries = np.repeat(np.arange(2, dtype=np.int32), len(shop.ITEMS))
    rows = np.tile(np.arange(len(shop.ITEMS), dtype=np.int32), 2)

    found = habits_with(contexts, queries, rows)

    wanted = habits_of(contexts.purchases, queries, rows)
    for name in ("n_times", "last", "gaps", "quantities"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))
