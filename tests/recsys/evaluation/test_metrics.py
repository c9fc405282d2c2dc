import numpy as np
import pytest

from recsys.candidates import Candidates
from recsys.evaluation.metrics import bootstrap, coverage, hits, ndcg, recall
from recsys.timelines import Ragged


def lists(*rows: list[int]) -> Candidates:
    """Return these lists, one a query, best first."""
    queries = np.repeat(np.arange(len(rows)), [len(one) for one in rows]).astype(np.int32)
    flat = np.array([row for one in rows for row in one], dtype=np.int32)
    return Candidates.of(queries, flat, np.zeros(len(flat), dtype=np.float32))


def wanted(*rows: list[int]) -> Ragged:
    return Ragged.of([np.array(one, dtype=np.int32) for one in rows])


def test_hits_say_which_places_of_each_list_hold_a_target() -> None:
    table = hits(lists([5, 6, 7], [8]), wanted([7, 5], [9]), 3)

    assert table.tolist() == [[True, False, True], [False, False, False]]


def test_recall_is_the_share_of_the_targets_that_are_listed() -> None:
    table = np.array([[True, False, True], [True, True, False]])

    # Two of four targets; both of two targets.
    assert recall(table, np.array([4, 2])).tolist() == pytest.approx([2 / 4, 1.0])


def test_ndcg_discounts_by_the_logarithm_of_the_place() -> None:
    table = np.array([[True, False, True], [False, True, False]])

    found = ndcg(table, np.array([2, 1]))

    first = (1 + 0.5) / (1 + 1 / np.log2(3))
    assert found.tolist() == pytest.approx([first, 1 / np.log2(3)])


def test_a_query_without_targets_or_list_scores_nothing() -> None:
    table = hits(lists([1], []), wanted([], [2]), 2)

    assert ndcg(table, np.array([0, 1])).tolist() == [0.0, 0.0]
    assert recall(table, np.array([0, 1])).tolist() == [0.0, 0.0]


def test_coverage_counts_the_items_of_the_first_places_once() -> None:
    assert coverage(lists([1, 2, 3], [2, 4, 5]), 2, 10, 2) == pytest.approx(3 / 10)


def test_a_bootstrap_interval_has_the_width_of_theory() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(1.0, 2.0, 400)

    found = bootstrap(values, rng)

    half = 1.96 * 2.0 / np.sqrt(400)
    assert found.low < found.mean < found.high
    assert found.high - found.low == pytest.approx(2 * half, rel=0.15)


def test_a_difference_that_never_varies_has_no_width() -> None:
    found = bootstrap(np.full(50, 0.25), np.random.default_rng(0))

    assert (found.low, found.mean, found.high) == (0.25, 0.25, 0.25)
