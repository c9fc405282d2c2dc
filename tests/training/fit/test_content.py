from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_matrix

from recsys.arrays import Vectors
from recsys.ids import ItemId
from recsys.items import Item
from recsys.models.content import lengthened
from recsys.models.described import Descriptions
from recsys.models.factors import FactorModel
from training.fit.content import ContentConfig, fit_content, ridge, with_lengths

CONFIG = ContentConfig(regularization=0.1, exponent=0.5, length=1.0)

TASTES = np.repeat(np.eye(2, dtype=np.float32), 4, axis=0)
"""Vectors of four breads and four soaps."""


def shop(*titles: str) -> list[Item]:
    breads = [f"bread {kind}" for kind in ("rye", "white", "brown", "sweet")]
    soaps = [f"soap {kind}" for kind in ("green", "white", "soft", "liquid")]
    named = (*breads, *soaps, *titles)
    return [Item(ItemId(str(row)), title, title.split()[0]) for row, title in enumerate(named)]


def factors(vectors: Vectors, n_new: int = 0) -> FactorModel:
    blank = np.zeros((n_new, vectors.shape[1]), dtype=np.float32)
    return FactorModel.of(np.concatenate((vectors, blank)), regularization=1.0, alpha=1.0)


def cosine(one: Vectors, other: Vectors) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def test_a_new_item_lies_among_those_described_like_it() -> None:
    items = shop("bread oaty", "soap oaty")

    model = fit_content(Descriptions.of(items), factors(TASTES, 2), CONFIG)

    assert model is not None
    bread, soap = model.vectors(items[-2:])
    assert cosine(bread, TASTES[0]) > 0.99
    assert cosine(soap, TASTES[-1]) > 0.99


def test_a_new_item_lies_near_its_twin() -> None:
    rng = np.random.default_rng(4)
    items = shop("bread rye white", "bread rye white")
    learned = np.concatenate((TASTES + 0.1 * rng.random((8, 2)), [[1.0, 0.6]])).astype(np.float32)

    model = fit_content(Descriptions.of(items), factors(learned, 1), CONFIG)

    assert model is not None
    assert cosine(model.vectors(items[-1:])[0], learned[-1]) > 0.9


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_foreseen_vectors_are_as_long_as_asked_beside_learned_ones(exponent: float) -> None:
    descriptions = Descriptions.of(shop())

    model = fit_content(descriptions, factors(3 * TASTES), ContentConfig(0.1, exponent, 2.0))

    assert model is not None
    assert_allclose(np.linalg.norm(model.of(descriptions), axis=1).mean(), 6, rtol=1e-4)


def test_lengths_chosen_later_are_those_of_a_fit_with_them() -> None:
    descriptions, learned = Descriptions.of(shop()), factors(3 * TASTES)
    first = fit_content(descriptions, learned, ContentConfig(0.1, 0.0, 1.0))
    assert first is not None
    other = ContentConfig(0.1, 1.0, 4.0)

    changed = with_lengths(first, descriptions, learned, other)

    fresh = fit_content(descriptions, learned, other)
    assert fresh is not None
    assert_array_equal(changed.of(descriptions), fresh.of(descriptions))


def test_best_sellers_count_no_more_than_others() -> None:
    # One bread is bought by everybody, and also by friends of soap.
    learned = TASTES.copy()
    learned[0] = [10, 10]

    model = fit_content(Descriptions.of(shop("bread")), factors(learned, 1), CONFIG)

    assert model is not None
    assert cosine(model.vectors(shop()[1:2])[0], TASTES[0]) > 0.9


@pytest.mark.parametrize("n_described", [0, 1])
def test_too_few_described_items_make_no_model(n_described: int) -> None:
    items = [Item(ItemId(str(row)), "mug" if row < n_described else "") for row in range(4)]

    assert fit_content(Descriptions.of(items), factors(TASTES[:4]), CONFIG) is None


def test_items_all_described_alike_get_the_mean_direction() -> None:
    items = [Item(ItemId(str(row)), "thing") for row in range(9)]

    model = fit_content(Descriptions.of(items), factors(TASTES, 1), CONFIG)

    assert model is not None
    assert cosine(model.vectors(items[-1:])[0], np.ones(2, dtype=np.float32)) > 0.999


def test_what_is_fitted_from_the_same_is_the_same() -> None:
    descriptions = Descriptions.of(shop())

    one, two = (fit_content(descriptions, factors(TASTES), CONFIG) for _ in range(2))

    assert one is not None
    assert two is not None
    assert_array_equal(one.vectors_of_features, two.vectors_of_features)


def test_foreseen_items_are_not_learned_from() -> None:
    items = shop("bread oaty", "lamp")
    wrong = np.full((10, 2), [-50.0, -50.0], dtype=np.float32)
    filled = factors(TASTES, 2).with_foreseen(wrong)

    model = fit_content(Descriptions.of(items), filled, CONFIG)

    clean = fit_content(Descriptions.of(items), factors(TASTES, 2), CONFIG)
    assert model is not None
    assert clean is not None
    assert_array_equal(model.vectors_of_features, clean.vectors_of_features)


def test_ridge_solves_the_normal_equations() -> None:
    rng = np.random.default_rng(5)
    table = rng.random((30, 12)).astype(np.float32) * (rng.random((30, 12)) < 0.4)
    targets = rng.normal(size=(30, 4)).astype(np.float32)

    found = ridge(csr_matrix(table.astype(np.float32)), targets, 0.7)

    expected = np.linalg.solve(table.T @ table + 0.7 * np.eye(12), table.T @ targets)
    assert_allclose(found, expected, atol=5e-3)


def test_targets_of_zero_give_zero_features() -> None:
    table = csr_matrix(np.eye(3, dtype=np.float32))

    assert_array_equal(ridge(table, np.zeros((3, 2), dtype=np.float32), 1.0), np.zeros((3, 2)))


def test_lengths_are_taken_to_the_power_asked_for() -> None:
    vectors = np.array([[3, 4]], dtype=np.float32)

    assert_allclose(lengthened(vectors, 0.5, 1.0), [[3 / 5**0.5, 4 / 5**0.5]], rtol=1e-5)
