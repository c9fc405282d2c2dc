from typing import Any

import numpy as np
import pytest
from implicit.cpu.als import AlternatingLeastSquares
from numpy.testing import assert_allclose, assert_array_equal

from recsys.candidates import Candidates
from recsys.events import EVENT_CODES, EventType
from recsys.interactions import Interactions
from recsys.models.blend import Blend
from recsys.timelines import Ragged, Weighted
from training.fit.als import AlsConfig, confidences, fit_als
from training.fit.blend import fit_blend
from training.fit.popularity import fit_popularity, fit_trend
from training.fit.repurchase import fit_repeat_rates

NOW = np.datetime64("2026-01-31T00:00:00", "s")


def bought(*lines: tuple[int, int, int, int], n_items: int = 6) -> Interactions:
    """Return purchases of (user, item, days before NOW, basket)."""
    ordered = sorted(lines, key=lambda line: -line[2])
    users, items, ages, baskets = (
        np.array(column, dtype=np.int32) for column in zip(*ordered, strict=True)
    )
    return Interactions(
        users,
        items,
        np.full(len(users), EVENT_CODES[EventType.PURCHASE], dtype=np.uint8),
        np.ones(len(users), dtype=np.float32),
        NOW - ages.astype("timedelta64[D]"),
        np.arange(len(users), dtype=np.uint32),
        baskets,
        int(users.max()) + 1,
        n_items,
    )


@pytest.fixture
def interests() -> Weighted:
    rng = np.random.default_rng(3)
    queries, rows = rng.integers(0, 30, 300), rng.integers(0, 18, 300)
    weights = rng.random(300).astype(np.float32)
    return Weighted.summed(queries.astype(np.int32), rows.astype(np.int32), weights, 30)


CONFIG = AlsConfig(dim=6, iterations=4, regularization=0.7, alpha=2.5)


def test_a_folded_in_customer_is_the_one_the_trainer_solves_for(interests: Weighted) -> None:
    model = fit_als(interests, 20, CONFIG, np.random.default_rng(0))
    trainer = AlternatingLeastSquares(factors=6, regularization=0.7, alpha=1.0, num_threads=1)
    trainer.item_factors = np.array(model.items)
    table = confidences(interests, 20, CONFIG.alpha)

    expected = trainer.recalculate_user(np.arange(30), table)

    assert_allclose(model.fold_in(interests), expected, rtol=1e-3, atol=1e-4)


def test_items_nobody_cares_for_have_no_vector(interests: Weighted) -> None:
    model = fit_als(interests, 20, CONFIG, np.random.default_rng(0))

    assert model.known.tolist() == [True] * 18 + [False] * 2


def test_the_same_seed_gives_the_same_factors_whatever_the_threads(interests: Weighted) -> None:
    one = fit_als(interests, 20, AlsConfig(6, 4, 0.7, 2.5, threads=1), np.random.default_rng(5))
    two = fit_als(interests, 20, AlsConfig(6, 4, 0.7, 2.5, threads=2), np.random.default_rng(5))

    assert_array_equal(one.items, two.items)


def test_a_purchase_one_half_life_old_counts_half() -> None:
    model = fit_popularity(bought((0, 2, 7, 0), (1, 3, 0, 1)), NOW, half_life_days=7.0)

    assert_allclose(model.counts, [0, 0, 0.5, 1, 0, 0])
    assert model.order.tolist() == [3, 2, 0, 1, 4, 5]


def test_what_sells_more_of_late_has_a_trend_above_one() -> None:
    interactions = bought((0, 0, 90, 0), (0, 0, 60, 1), (0, 1, 60, 1), (1, 1, 1, 2), (1, 1, 0, 3))

    trend = fit_trend(interactions, NOW, recent_days=5.0, long_days=1_000.0)

    assert trend[1] > 1.5
    assert trend[0] < 0.1
    assert trend[5] == 1.0


def test_the_repeat_rate_counts_buyers_of_a_second_day_not_of_a_second_piece() -> None:
    interactions = bought(
        (0, 0, 9, 0), (0, 0, 5, 1), (1, 0, 9, 2), (1, 0, 9, 2), (2, 1, 3, 3), (3, 1, 3, 4)
    )

    rates = fit_repeat_rates(interactions, prior_buyers=1.0)

    average = 1 / 4  # one of four pairs of customer and item came back
    assert_allclose(rates[:2], [(1 + average) / 3, average / 3], rtol=1e-6)
    assert_allclose(rates[2:], average, rtol=1e-6)


def table_of(signals: np.ndarray, hits: np.ndarray) -> tuple[Candidates, Ragged]:
    """Return candidates with these (q, width, sources) signals, and as targets those hit."""
    n_queries, width, n_sources = signals.shape
    queries = np.repeat(np.arange(n_queries, dtype=np.int32), width)
    rows = np.tile(np.arange(width, dtype=np.int32), n_queries)
    flat = signals.reshape(-1, n_sources).astype(np.float32)
    found = Candidates(queries, rows, np.zeros(len(rows), dtype=np.float32), flat)
    return found, Ragged.of([np.flatnonzero(one).astype(np.int32) for one in hits])


def blended(signals: np.ndarray, hits: np.ndarray, names: list[str], **given: Any) -> Blend:
    trends = given.pop("trends", np.ones(signals.shape[1], dtype=np.float32))
    lists = [table_of(signals, hits)]
    return fit_blend(lists, names, trends, exponents=(0.0, 0.5, 1.0))


def test_a_trend_that_decides_is_found() -> None:
    rng = np.random.default_rng(2)
    signals = rng.random((100, 40, 1)) + 0.5
    trends = np.exp(rng.normal(0, 1, 40)).astype(np.float32)
    truth = signals[:, :, 0] * trends**0.5

    blend = blended(signals, truth >= np.sort(truth, axis=1)[:, -10:-9], ["a"], trends=trends)

    assert blend.trend == 0.5


def test_new_items_decide_among_weights_that_are_otherwise_alike() -> None:
    signals = np.zeros((20, 40, 3))
    signals[:, :10, 0] = np.linspace(1, 0.5, 10)
    signals[:, 10:20, 1] = 0.1
    signals[:, 20:30, 2] = 0.1
    hits = np.zeros((20, 40), dtype=bool)
    hits[:, :10] = True
    found, targets = table_of(signals, hits)
    new_hits = np.zeros((20, 40), dtype=bool)
    new_hits[:, 20:30] = True
    new = found.take(found.rows >= 10), table_of(signals, new_hits)[1]
    steady = np.ones(40, dtype=np.float32)

    blend = fit_blend([(found, targets), new], ["own", "wrong", "right"], steady, exponents=(0.0,))

    assert blend.weight("right") > blend.weight("wrong")


def test_the_blend_finds_a_planted_mixture_and_drops_noise() -> None:
    rng = np.random.default_rng(1)
    signals = rng.random((200, 60, 3))
    truth = signals @ [1.0, 0.4, 0.0]
    hits = truth >= np.sort(truth, axis=1)[:, -10:-9]

    blend = blended(signals, hits, ["a", "b", "noise"])

    assert blend.weights["a"] == 1.0
    assert blend.weights["b"] == pytest.approx(0.4, abs=0.1)
    assert blend.weights["noise"] <= 0.05


def test_a_source_that_alone_is_right_gets_all_the_weight_it_needs() -> None:
    signals = np.zeros((20, 15, 2))
    signals[:, :5, 1] = 1.0
    signals[:, 5:, 0] = 0.9
    hits = np.zeros((20, 15), dtype=bool)
    hits[:, :5] = True

    blend = blended(signals, hits, ["wrong", "right"])

    assert blend.weight("right") > 0.9 * blend.weight("wrong")


def test_without_a_single_hit_all_sources_count_alike() -> None:
    signals, hits = np.ones((4, 12, 2)), np.zeros((4, 12), dtype=bool)

    assert blended(signals, hits, ["a", "b"]).weights == {"a": 1.0, "b": 1.0}
