from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.sparse import csr_matrix

from recsys.ids import ItemId
from recsys.items import Item
from recsys.models.described import Descriptions
from recsys.timelines import Weighted
from training.cold import (
    ColdTrial,
    Hideout,
    category_popularity,
    choose_content,
    recall_at,
)
from training.fit.als import AlsConfig
from training.fit.content import ContentConfig
from training.settings import ContentSettings

ALS = AlsConfig(dim=8, iterations=5, regularization=1.0, alpha=5.0, threads=1)
GRID = ContentSettings((1.0, 10.0), (0.0, 0.5), (0.01, 1.0))
N_TASTES, N_ITEMS, N_USERS = 12, 1_200, 400


@pytest.fixture
def shop() -> tuple[list[Item], Weighted]:
    """Items whose one word is their taste, and customers who keep to one taste."""
    rng = np.random.default_rng(6)
    items = [Item(ItemId(str(row)), f"taste{row % N_TASTES}") for row in range(N_ITEMS)]
    users = np.repeat(np.arange(N_USERS, dtype=np.int32), 20)
    rows = rng.integers(0, N_ITEMS // N_TASTES, len(users)) * N_TASTES + users % N_TASTES
    ones = np.ones(len(users), dtype=np.float32)
    return items, Weighted.summed(users, rows.astype(np.int32), ones, N_USERS)


def test_items_whose_words_tell_all_are_found_far_better_than_by_category(
    shop: tuple[list[Item], Weighted],
) -> None:
    items, interests = shop

    trial = choose_content(
        Descriptions.of(items),
        [()] * N_ITEMS,
        interests,
        als=ALS,
        grid=GRID,
        rng=np.random.default_rng(1),
    )

    assert trial.recall > 0.95
    assert trial.metrics()["cold_recall_ratio"] > 1.5


def test_words_that_tell_nothing_find_no_more_than_chance(
    shop: tuple[list[Item], Weighted],
) -> None:
    _, interests = shop
    rng = np.random.default_rng(2)
    items = [Item(ItemId(str(row)), f"w{rng.integers(12)}") for row in range(N_ITEMS)]

    trial = choose_content(
        Descriptions.of(items), [()] * N_ITEMS, interests, als=ALS, grid=GRID, rng=rng
    )

    assert trial.recall < 0.6  # 50 of 120 are 0.42


def test_too_few_items_leave_the_first_of_each_grid_unmeasured() -> None:
    items = [Item(ItemId(str(row)), "thing") for row in range(30)]
    interests = Weighted(np.array([0, 1]), np.zeros(1, dtype=np.int32), np.ones(1, np.float32))

    trial = choose_content(
        Descriptions.of(items),
        [()] * 30,
        interests,
        als=ALS,
        grid=GRID,
        rng=np.random.default_rng(1),
    )

    assert trial == ColdTrial(ContentConfig(1.0, 0.0, 0.01))
    assert trial.metrics() == {}


def test_nothing_of_a_hidden_item_is_left_to_learn_from(
    shop: tuple[list[Item], Weighted],
) -> None:
    items, interests = shop

    hideout = Hideout.of(Descriptions.of(items), interests, np.random.default_rng(3))

    assert hideout is not None
    assert len(hideout.hidden) == N_ITEMS // 10
    assert not np.isin(hideout.rest.rows, hideout.hidden).any()
    assert not np.isin(hideout.asking.rows, hideout.hidden).any()
    assert np.diff(hideout.cold.indptr).min() > 0
    kept = len(hideout.rest.rows) + hideout.cold.nnz + hideout.warm.nnz
    assert kept == pytest.approx(len(interests.rows), abs=0.05 * len(interests.rows))


def test_long_foreseen_vectors_find_hidden_items_at_the_cost_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("training.cold.DEPTH", 1)
    # One customer has item 0, and is to find item 1, of a known vector, and item 2, hidden.
    own = Weighted(np.array([0, 1]), np.zeros(1, dtype=np.int32), np.ones(1, dtype=np.float32))
    hidden, ones = np.array([2], dtype=np.int32), np.array([[1]])
    hideout = Hideout(hidden, own, own, csr_matrix(ones), csr_matrix(np.array([[0, 1, 0]])))
    items = np.array([[1, 0], [0.5, 0], [0, 0]], dtype=np.float32)
    vector = np.array([[1, 0]], dtype=np.float32)

    found = hideout.merged(vector, items, vector, (0.1, 1.0))

    assert_allclose(found, [10 / 11, 1 / 11])  # a known pair stands for ten


def test_a_hidden_item_is_as_popular_as_its_category_on_the_mean() -> None:
    paths = [("a", "b")] * 6 + [("a", "c")] * 3 + [("a", "b"), ("a", "c"), ("d",)]
    rows = np.array([0, 0, 0, 1, 6, 6, 9], dtype=np.int32)
    interests = Weighted(np.array([0, 7]), rows, np.ones(7, dtype=np.float32))

    found = category_popularity(paths, interests, np.array([9, 10, 11], dtype=np.int32))

    # b has six items that count; c has three, too few, so a stands for it, with nine; d has none.
    assert_allclose(found, [4 / 6, 6 / 9, 6 / 9], rtol=1e-6)


def test_recall_is_the_share_of_targets_among_the_first() -> None:
    scores = np.array([[3, 2, 1, 0], [0, 1, 2, 3]], dtype=np.float32)
    targets = csr_matrix(np.array([[1, 0, 0, 1], [0, 0, 1, 1]]))

    assert recall_at(2, scores, targets) == 0.75
