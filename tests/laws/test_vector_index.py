"""The laws of every vector index, held against a search by hand."""

from __future__ import annotations

from itertools import accumulate, chain, repeat

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.eligibility import Eligibility
from recsys.index.chooser import choose_index, recall_of
from recsys.index.faiss_index import FaissIndex, IndexKind, IndexPlan
from recsys.index.grown import GrownIndex
from recsys.index.index import ExactIndex, VectorIndex
from recsys.timelines import Ragged

N_ITEMS, DIM = 1_000, 8
N_OLD = 700


def _items(seed: int = 7) -> np.ndarray:
    rng = np.random.default_rng(seed)
    items = rng.normal(size=(N_ITEMS, DIM)) * rng.lognormal(0, 1, size=(N_ITEMS, 1))
    items[::10] = 0.0  # nobody bought these
    return items.astype(np.float32)


ITEMS = _items()
KNOWN = np.any(ITEMS != 0, axis=1)
INDEXES: dict[str, VectorIndex] = {
    "exact": ExactIndex(ITEMS, KNOWN),
    "flat": FaissIndex.build(ITEMS, KNOWN, IndexPlan(IndexKind.FLAT, 0, 0.0)),
    "flat, exact behind masks": FaissIndex.build(ITEMS, KNOWN, IndexPlan(IndexKind.FLAT, 0, 0.5)),
    "graph": FaissIndex.build(ITEMS, KNOWN, IndexPlan(IndexKind.HNSW, 512, 0.0)),
    "grown": GrownIndex(
        FaissIndex.build(ITEMS[:N_OLD], KNOWN[:N_OLD], IndexPlan(IndexKind.FLAT, 0, 0.0)),
        N_OLD,
        ExactIndex(ITEMS[N_OLD:], KNOWN[N_OLD:]),
    ),
}
MISSES_NONE = ["exact", "flat", "flat, exact behind masks", "grown"]


@st.composite
def searches(draw: st.DrawFn) -> tuple[np.ndarray, int, Eligibility]:
    """Draw vectors, a depth and an eligibility from everything to nothing."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    n_queries, k = draw(st.integers(1, 4)), draw(st.integers(1, 50))
    mask = rng.random(N_ITEMS) < draw(st.sampled_from([0.0, 0.01, 0.3, 0.7, 1.0]))
    excluded = [
        rng.choice(N_ITEMS, draw(st.integers(0, 60)), replace=False).astype(np.int32)
        for _ in range(n_queries)
    ]
    vectors = rng.normal(size=(n_queries, DIM)).astype(np.float32)
    return vectors, k, Eligibility(mask, Ragged.of(excluded))


@pytest.mark.parametrize("name", INDEXES)
@given(search=searches())
def test_hits_are_eligible_unique_and_truly_scored_best_first(
    name: str, search: tuple[np.ndarray, int, Eligibility]
) -> None:
    vectors, k, eligible = search

    hits = INDEXES[name].search(vectors, k, eligible)

    assert hits.rows.shape == hits.scores.shape == (len(vectors), k)
    for query, (rows, scores) in enumerate(zip(hits.rows, hits.scores, strict=True)):
        found = rows >= 0
        assert np.all(found[:-1] >= found[1:])
        assert len(set(rows[found].tolist())) == found.sum()
        assert (eligible.of_query(query) & KNOWN)[rows[found]].all()
        assert scores[found] == pytest.approx(
            ITEMS[rows[found]] @ vectors[query], rel=1e-4, abs=1e-4
        )
        assert np.all(np.diff(scores[found]) <= 1e-5)


@pytest.mark.parametrize("name", MISSES_NONE)
@given(search=searches())
def test_exact_indexes_find_the_true_best(
    name: str, search: tuple[np.ndarray, int, Eligibility]
) -> None:
    vectors, k, eligible = search

    hits = INDEXES[name].search(vectors, k, eligible)

    for query, scores in enumerate(hits.scores):
        allowed = eligible.of_query(query) & KNOWN
        wanted = np.sort(ITEMS[allowed] @ vectors[query])[::-1][:k]
        assert scores[: len(wanted)] == pytest.approx(wanted, rel=1e-4, abs=1e-4)
        assert np.all(np.isneginf(scores[len(wanted) :]))


def test_nobody_who_asks_gets_nothing_however_many_items_there_are() -> None:
    items = np.ones((10_000, DIM), dtype=np.float32)
    index = ExactIndex(items, np.ones(len(items), dtype=np.bool_))

    hits = index.search(items[:0], 5, Eligibility.everything(len(items), 0))

    assert hits.rows.shape == (0, 5)


@pytest.mark.parametrize("alike", [False, True])
def test_a_graph_blind_behind_narrow_masks_is_not_used_there(alike: bool) -> None:
    rng = np.random.default_rng(3)
    items = rng.normal(size=(6_000, 16)).astype(np.float32)
    questions = rng.normal(size=(40, 16)).astype(np.float32)
    slower_at_first = accumulate(chain([1.0] * 80, repeat(0.1)))  # the flat index is timed first

    choice = choose_index(
        items,
        np.ones(6_000, dtype=np.bool_),
        questions,
        k=50,
        recall_floor=0.95,
        clock=lambda: next(slower_at_first),
        rng=rng,
    )

    assert choice.recall >= 0.95
    assert choice.index.plan.kind is IndexKind.HNSW
    for share in (0.8, 0.6, 0.2, 0.01):
        order = items @ items[int(rng.integers(6_000))] if alike else rng.random(6_000)
        narrow = Eligibility(order >= np.quantile(order, 1 - share), Ragged.empty(40))
        assert recall_of(choice.index, choice.index.exact, questions, 50, narrow) >= 0.94
    assert {trial.plan.kind for trial in choice.trials} == {IndexKind.FLAT, IndexKind.HNSW}
