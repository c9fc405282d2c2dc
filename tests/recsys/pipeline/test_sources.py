from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.arrays import offsets_of
from recsys.eligibility import Eligibility
from recsys.models.factors import FactorModel
from recsys.pipeline.sources import Popular
from recsys.state import UserState
from recsys.timelines import Ragged, Weighted
from tests import shop


@given(k=st.integers(1, 12), data=st.data())
def test_popular_gives_every_query_all_it_may_have(k: int, data: st.DataObject) -> None:
    rows = st.lists(st.integers(0, 9), max_size=9, unique=True)
    excluded = [np.array(data.draw(rows), dtype=np.int32) for _ in range(2)]
    eligible = Eligibility(shop.catalog().items.sellable, Ragged.of(excluded))
    contexts = shop.contexts([UserState.unknown()] * 2)

    found = Popular(shop.bundle().popularity).retrieve(contexts, eligible, k)

    for query in range(2):
        wanted = np.flatnonzero(eligible.of_query(query))[:k]
        assert found.rows[found.queries == query].tolist() == wanted.tolist()


@given(seed=st.integers(0, 1_000))
def test_fold_in_solves_the_trainers_least_squares(seed: int) -> None:
    rng = np.random.default_rng(seed)
    items = rng.normal(size=(12, 4)).astype(np.float32)
    model = FactorModel.of(items, regularization=0.7, alpha=3.0)
    rows = np.sort(rng.choice(12, 5, replace=False)).astype(np.int32)
    weights = rng.uniform(0.1, 2.0, 5).astype(np.float32)
    confidence, wanted = np.ones(12), np.zeros(12)
    confidence[rows], wanted[rows] = 3.0 * weights, 1.0

    vector = model.fold_in(Weighted(offsets_of(np.array([5])), rows, weights))[0]

    exact = np.linalg.solve(
        items.T @ np.diag(confidence) @ items + 0.7 * np.eye(4), items.T @ (confidence * wanted)
    )
    assert vector == pytest.approx(exact, rel=1e-3, abs=1e-4)


def test_who_has_no_interests_has_no_vector() -> None:
    nobody = Weighted(
        np.zeros(2, dtype=np.int64), np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32)
    )

    assert not shop.bundle().factors.fold_in(nobody).any()
