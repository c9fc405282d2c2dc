"""What rises, and what is popular where, on numbers that a person can work out."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest

from recsys.arrays import keys_of
from recsys.models.trends import LEAST_EVIDENCE, NO_TRENDS, Activity, Memory, Trends, surprise

SHARE = Memory().share
BUSY = 10_000.0
"""What is usual of the row 9 in each market here, so that one item makes no market busier."""


def activity(*found: tuple[int, int, float, float]) -> Activity:
    """Return the activity of these (market, row, recent, usual)."""
    places, rows, recent, usual = map(np.array, zip(*found, strict=True))
    keys = keys_of(places.astype(np.int32), rows.astype(np.int32))
    return Activity.summed(keys, recent.astype(float), usual.astype(float))


def of_markets(**markets: Mapping[int, tuple[float, float]]) -> Trends:
    """Return the trends of markets with these recent and usual sums, by row."""
    found = [
        (place, row, *sums)
        for place, rows in enumerate(markets.values())
        for row, sums in rows.items()
    ]
    return Trends.of(tuple(markets), activity(*found), SHARE)


def steady(usual: float) -> tuple[float, float]:
    """Return the sums of an item that is wanted as ever."""
    return usual * SHARE, usual


def scores(trends: Trends, market: str = "") -> dict[int, float]:
    """Return what is trending, by row."""
    found = trends.trending(market)
    return dict(zip(found.rows.tolist(), found.scores.tolist(), strict=True))


def test_surprise_is_the_likelihood_ratio_of_what_came_and_what_was_expected() -> None:
    recent, usual = np.array([90.0, 500.0]), np.array([28 * 30.0, 28 * 560.0])

    found = surprise(recent, usual, 1 / 28)

    assert found[0] == pytest.approx(100 * math.log(100 / 40) - 60)
    assert found[1] == 0.0


def test_three_views_of_a_rare_item_are_no_trend_beside_a_wave() -> None:
    trends = of_markets(DE={1: (3.0, 3.0), 2: (100.0, 900.0), 9: steady(BUSY)})

    found = scores(trends)

    assert list(found) == [2]


def test_bestseller_that_sells_as_ever_does_not_trend_and_a_market_day_lifts_nobody() -> None:
    quiet = of_markets(DE={1: steady(BUSY), 2: steady(500.0)})
    loud = of_markets(DE={1: (BUSY * SHARE * 3, BUSY), 2: (500.0 * SHARE * 3, 500.0)})

    assert scores(quiet) == scores(loud) == {}


def test_of_two_equal_ratios_the_larger_volume_comes_first() -> None:
    trends = of_markets(DE={1: (60.0, 560.0), 2: (600.0, 5600.0), 9: steady(BUSY * 10)})

    found = trends.trending("")

    assert found.rows.tolist() == [2, 1]


def test_wave_in_one_market_is_none_in_another() -> None:
    trends = of_markets(
        DE={1: (100.0, 100.0), 9: steady(BUSY)}, FR={1: steady(100.0), 9: steady(BUSY)}
    )

    assert list(scores(trends, "DE")) == [1]
    assert list(scores(trends, "FR")) == []


def test_market_of_which_too_little_is_known_is_taken_for_all_together() -> None:
    trends = of_markets(DE={1: (100.0, 100.0), 9: steady(BUSY)}, FR={2: (30.0, LEAST_EVIDENCE - 1)})

    assert (trends.tells_of("DE"), trends.tells_of("FR"), trends.tells_of("")) == (
        *(True, False),
        False,
    )
    assert scores(trends, "FR") == scores(trends, "nowhere") == scores(trends)
    assert trends.popular("FR").rows.tolist() == trends.popular("").rows.tolist()


def test_popular_of_a_market_is_its_own_with_a_little_of_all_others() -> None:
    trends = of_markets(DE={1: steady(300.0)}, FR={2: steady(500.0), 3: steady(200.0)})

    found = trends.popular("DE")

    assert found.rows.tolist() == [1, 2, 3]
    everybodys = LEAST_EVIDENCE / 1_000
    expected = [300 + 300 * everybodys, 500 * everybodys, 200 * everybodys]
    assert found.scores.tolist() == pytest.approx(expected)


def test_what_was_done_with_a_variant_counts_for_its_primary() -> None:
    trends = of_markets(DE={0: (5.0, 200.0), 1: (7.0, 100.0), 2: (1.0, 1.0), 5: (1.0, 1.0)})

    found = trends.rolled_up(np.array([0, 0, -1], dtype=np.int32)).activity

    assert found.keys.tolist() == [0]
    assert (found.recent.tolist(), found.usual.tolist()) == ([12.0], [300.0])


def test_sums_grow_old_as_their_deeds_would_have() -> None:
    memory = Memory(recent_hours=6.0, usual_hours=168.0)
    recent, usual = memory.kept(np.array([5.0, 30.0]))
    keys = np.array([3, 3], dtype=np.int64)

    aged = Activity.summed(keys, 2 * recent, 2 * usual).later(12.0, memory)

    at_once, of_long = memory.kept(np.array([17.0, 42.0]))
    assert aged.recent.tolist() == pytest.approx([2 * at_once.sum()])
    assert aged.usual.tolist() == pytest.approx([2 * of_long.sum()])


def test_nothing_counted_is_no_trend_and_nothing_popular() -> None:
    assert len(NO_TRENDS.trending("DE").rows) == len(NO_TRENDS.popular("").rows) == 0
    assert not NO_TRENDS.tells_of("DE")


def test_rankings_asked_for_before_are_made_for_the_next_trends() -> None:
    before = of_markets(DE={1: steady(300.0)})
    before.popular("DE")
    after = of_markets(DE={1: steady(400.0)})

    after.prepare(before)

    assert list(after.made) == [("popular", "DE")]


def test_columns_of_several_lengths_are_no_activity() -> None:
    with pytest.raises(ValueError, match="columns of"):
        Activity(np.empty(1, np.int64), np.empty(1), np.empty(2))
