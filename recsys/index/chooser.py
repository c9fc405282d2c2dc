"""Which index serves a bundle: decided by recall and time on that bundle's own vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from recsys.arrays import Mask, Vectors
from recsys.eligibility import Eligibility
from recsys.index.faiss_index import FaissIndex, IndexKind, IndexPlan, build_faiss
from recsys.index.index import ExactIndex, VectorIndex
from recsys.timelines import Ragged

DEPTHS = (64, 128, 256, 512)
NARROW_SHARES = (0.9, 0.7, 0.5, 0.3, 0.1, 0.03, 0.01)
"""Shares of eligible items at which a graph is tried, from wide to narrow."""
N_ALIKE = 3
"""Masks of items that are alike, tried at each share."""
FLAT_EXACT_BELOW = 0.1
"""Share below which gathering the eligible rows beats FAISS's scan over all of them."""
SLOW_MS = 0.25
"""Time of a flat search above which a graph is tried: below it no request waits for the search."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What one plan reached.

    recall: share of the true top k found, over all vectors tried. ms: median per vector.
    """

    plan: IndexPlan
    recall: float
    ms: float


@dataclass(frozen=True, slots=True)
class Choice:
    """The index to publish, and every trial behind the choice."""

    index: FaissIndex
    recall: float
    trials: tuple[Trial, ...]


def choose_index(
    items: Vectors,
    known: Mask,
    vectors: Vectors,
    *,
    k: int,
    recall_floor: float,
    clock: Callable[[], float],
    rng: np.random.Generator,
) -> Choice:
    """Return the fastest index that finds at least `recall_floor` of the true top `k`.

    items: (n_items, dim). vectors: (q, dim) real questions, such as held-out customers.
    clock: seconds, monotonic; passed in, since the domain reads no clock.

    Flat is always tried; where it is slow a graph (HNSW) too, at growing depth until it reaches
    the floor, with all items eligible and behind masks. The share below which a mask makes
    the graph miss the floor becomes `exact_below`.
    """
    bench = _Bench(items, known, vectors, k, clock)
    flat = FaissIndex.build(items, known, IndexPlan(IndexKind.FLAT, 0, FLAT_EXACT_BELOW))
    trial = bench.trial(flat)
    alone = Choice(flat, trial.recall, (trial,))
    return _beside_graph(alone, bench, recall_floor, rng) if trial.ms > SLOW_MS else alone


def _beside_graph(
    flat: Choice, bench: _Bench, recall_floor: float, rng: np.random.Generator
) -> Choice:
    """Return the faster of the flat index and a graph that reaches the floor, if any does."""
    graph, exact = build_faiss(bench.items, IndexKind.HNSW), flat.index.exact
    trials = [*flat.trials]
    for depth in DEPTHS:
        plan = IndexPlan(IndexKind.HNSW, depth, 0.0)
        trials.append(bench.trial(FaissIndex(graph, plan, exact)))
        if trials[-1].recall >= recall_floor:
            break
    good = [trial for trial in trials if trial.recall >= recall_floor]
    best = min(good, key=lambda trial: trial.ms, default=trials[0])
    if best.plan.kind is IndexKind.FLAT:
        return Choice(flat.index, flat.recall, tuple(trials))
    share = bench.exact_below(graph, best.plan, recall_floor, rng)
    plan = IndexPlan(IndexKind.HNSW, best.plan.search_depth, share)
    return Choice(FaissIndex(graph, plan, exact), best.recall, tuple(trials))


def recall_of(
    index: VectorIndex, exact: VectorIndex, vectors: Vectors, k: int, eligible: Eligibility
) -> float:
    """Return the share of the exact top k that the index finds, over all vectors."""
    found, wanted = index.search(vectors, k, eligible).rows, exact.search(vectors, k, eligible).rows
    hits = [np.isin(true[true >= 0], mine).sum() for mine, true in zip(found, wanted, strict=True)]
    return float(np.sum(hits) / max((wanted >= 0).sum(), 1))


@dataclass(frozen=True, slots=True)
class _Bench:
    items: Vectors
    known: Mask
    vectors: Vectors
    k: int
    clock: Callable[[], float]

    def trial(self, index: FaissIndex) -> Trial:
        everything = self._eligible(np.ones(len(self.items), dtype=np.bool_))
        return Trial(index.plan, self._recall(index, everything), self._ms(index))

    def exact_below(
        self, graph: Any, plan: IndexPlan, recall_floor: float, rng: np.random.Generator
    ) -> float:
        """Return the largest tried share of eligible rows at which the graph misses the floor."""
        index = FaissIndex(graph, plan, ExactIndex(self.items, self.known))
        for share in NARROW_SHARES:
            for mask in self._masks(share, rng):
                if self._recall(index, self._eligible(mask)) < recall_floor:
                    return share * 1.05  # a mask of about this share is scored exactly too
        return 0.0

    def _masks(self, share: float, rng: np.random.Generator) -> Iterator[Mask]:
        """Yield masks of about this share: of random items, and of items that are alike.

        Filters by category or brand leave items that are alike. They may stand together far from
        where a graph looks for an answer.
        """
        yield rng.random(len(self.items)) < share
        for item in rng.integers(0, len(self.items), N_ALIKE).tolist():
            likeness = self.items @ self.items[item]
            yield likeness >= np.quantile(likeness, 1 - share)

    def _recall(self, index: FaissIndex, eligible: Eligibility) -> float:
        return recall_of(index, index.exact, self.vectors, self.k, eligible)

    def _ms(self, index: FaissIndex) -> float:
        one = Eligibility(np.ones(len(self.items), dtype=np.bool_), Ragged.empty(1))
        times = []
        for vector in self.vectors[:50]:
            start = self.clock()
            index.search(vector[np.newaxis], self.k, one)
            times.append(self.clock() - start)
        return float(np.median(times) * 1_000)

    def _eligible(self, mask: Mask) -> Eligibility:
        return Eligibility(mask, Ragged.empty(len(self.vectors)))
