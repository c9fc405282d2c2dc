"""Items that nobody has met have vectors too; folding in must not take them for learned ones."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from recsys.models.factors import FactorModel
from recsys.timelines import Weighted


@pytest.fixture
def model() -> FactorModel:
    items = np.random.default_rng(2).normal(size=(6, 3)).astype(np.float32)
    items[4:] = 0
    return FactorModel.of(items, regularization=0.5, alpha=2.0)


def interests(*rows: int) -> Weighted:
    n = len(rows)
    return Weighted(
        np.array([0, n]), np.array(rows, dtype=np.int32), np.full(n, 0.3, dtype=np.float32)
    )


FORESEEN = np.full((6, 3), 9, dtype=np.float32)


def test_only_items_without_a_vector_are_foreseen(model: FactorModel) -> None:
    foreseen = FORESEEN.copy()
    foreseen[5] = 0

    filled = model.with_foreseen(foreseen)

    assert_array_equal(filled.items[:4], model.items[:4])
    assert_array_equal(filled.items[4], [9, 9, 9])
    assert filled.known.tolist() == [True] * 5 + [False]
    assert filled.learned.tolist() == [True] * 4 + [False] * 2


def test_customers_of_learned_items_are_folded_in_as_before(model: FactorModel) -> None:
    filled = model.with_foreseen(FORESEEN)

    assert_array_equal(filled.gram, model.gram)
    assert_array_equal(filled.fold_in(interests(0, 2)), model.fold_in(interests(0, 2)))


def test_a_foreseen_item_counts_as_if_it_stood_in_nobody_elses_past(model: FactorModel) -> None:
    filled = model.with_foreseen(FORESEEN)
    own, confidence = filled.items[[1, 4]].astype(np.float64), 2.0 * 0.3

    found = filled.fold_in(interests(1, 4))

    learned = model.items.astype(np.float64)
    system = learned.T @ learned + 0.5 * np.eye(3)
    system += own.T @ np.diag([confidence - 1, confidence]) @ own
    expected = np.linalg.solve(system, own.T @ np.full(2, confidence))
    assert_allclose(found[0], expected, rtol=1e-3)


def test_interest_in_a_foreseen_item_alone_brings_what_is_like_it(model: FactorModel) -> None:
    foreseen = np.zeros((6, 3), dtype=np.float32)
    foreseen[4] = model.items[0]

    vector = model.with_foreseen(foreseen).fold_in(interests(4))[0]

    assert vector @ model.items[0] > 0
