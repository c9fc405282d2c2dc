"""Matrix factorisation: item vectors, and a customer's vector folded in from interests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from scipy.linalg import lu_factor, lu_solve

from recsys.arrays import Mask, Rows, Scores, Vectors, frozen
from recsys.timelines import Weighted


@dataclass(frozen=True, slots=True)
class FactorModel:
    """Item side of a weighted matrix factorisation (Hu, Koren, Volinsky 2008).

    Customer vectors are never stored: they are folded in from interests at each question.

    items: (n_items, dim) float32; zero for items of which nothing is known.
    foreseen: (n_items,) bool, items nobody has met, whose vectors come from their descriptions;
        empty where there is none.
    newer: (n, dim) float32, of items that came after training, rows behind those of `items`.
    gram: (dim, dim) float32, itemsᵀ items of those that customers taught, and of no others.
    regularization: weight of the vectors' own length, > 0.
    alpha: confidence of one unit of interest, > 0; what nobody showed interest in counts 1.
    """

    items: Vectors
    gram: Vectors
    regularization: float
    alpha: float
    newer: Vectors = field(default_factory=lambda: np.empty((0, 0), dtype=np.float32))
    foreseen: Mask = field(default_factory=lambda: np.empty(0, dtype=np.bool_))

    @classmethod
    def of(cls, items: Vectors, *, regularization: float, alpha: float) -> Self:
        """Return the model of these item vectors."""
        return cls(frozen(items), frozen(items.T @ items), regularization, alpha)

    def with_foreseen(self, vectors: Vectors) -> Self:
        """Return the model in which items it knows nothing of have these (n_items, dim) vectors.

        What was learned, and so what is folded in from it, stays as it is.
        """
        foreseen: Mask = ~self.known & np.any(vectors != 0, axis=1)
        items = np.where(foreseen[:, np.newaxis], vectors, self.items)
        return replace(self, items=frozen(items), foreseen=frozen(foreseen))

    def of_rows(self, rows: Rows) -> Vectors:
        """Return the (n, dim) vectors of these (n,) rows."""
        behind = np.flatnonzero(rows >= len(self.items))
        if not len(behind):
            return self.items[rows]
        vectors = self.items[np.minimum(rows, len(self.items) - 1)]
        vectors[behind] = self.newer[rows[behind] - len(self.items)]
        return vectors

    @property
    def known(self) -> Mask:
        """(n_items,) whether the item has a vector; not of newer ones."""
        known: Mask = np.any(self.items != 0, axis=1)
        return known

    @property
    def learned(self) -> Mask:
        """(n_items,) whether customers taught the item's vector."""
        return self.known & ~self.foreseen if len(self.foreseen) else self.known

    def fold_in(self, interests: Weighted) -> Vectors:
        """Return the (q, dim) vectors of customers with these interests; zero without any."""
        return self.folded_in(interests).vectors

    def folded_in(self, interests: Weighted) -> FoldedIn:
        """Return customers with these interests.

        Solves (YᵀY + Yᵀ(C - I)Y + λI) x = YᵀC 1 for each, as the trainer does for its users;
        items that nobody taught are in the customer's own Y alone, not in everybody's YᵀY.
        """
        vectors = np.zeros((len(interests), self.items.shape[1]), dtype=np.float32)
        solved: dict[int, Solved] = {}
        # One small BLAS product a query: a batched form would hold n outer products in memory.
        for query in np.flatnonzero(np.diff(interests.offsets)).tolist():
            own, confidence, beyond = self._own(interests, query)
            system = lu_factor(self._system(own, beyond), overwrite_a=True, check_finite=False)
            vectors[query] = lu_solve(system, own.T @ confidence, check_finite=False)
            solved[query] = own * confidence[:, np.newaxis], system
        return FoldedIn(self, interests, vectors, solved)

    def _own(self, interests: Weighted, query: int) -> tuple[Vectors, Scores, Scores]:
        """Return one query's vectors, its confidence in each, and how much `gram` lacks of that."""
        own = slice(interests.offsets[query], interests.offsets[query + 1])
        rows = interests.rows[own]
        confidence = self.alpha * interests.weights[own]
        return self.of_rows(rows), confidence, confidence - self._in_gram(rows)

    def _in_gram(self, rows: Rows) -> Scores:
        """Return 1 where `gram` counts a row already, else 0."""
        learned: Scores = (rows < len(self.items)).astype(np.float32)
        if len(self.foreseen):
            learned[self.foreseen[np.minimum(rows, len(self.items) - 1)]] = 0
        return learned

    def _system(self, own: Vectors, beyond: Scores) -> Vectors:
        ridge = self.regularization * np.eye(len(self.gram), dtype=np.float32)
        system: Vectors = self.gram + ridge + own.T @ (own * beyond[:, np.newaxis])
        return system


Solved = tuple[Vectors, tuple[Vectors, Rows]]
"""A customer's own vectors, each times the confidence in it, and the system's LU decomposition."""


@dataclass(frozen=True, slots=True)
class FoldedIn:
    """Customers with these interests, as one model sees them.

    vectors: (q, dim) float32, zero without any interest. solved: by query, what they came from.
    """

    model: FactorModel
    interests: Weighted
    vectors: Vectors
    solved: Mapping[int, Solved]

    def anchors(self, queries: Rows, rows: Rows) -> Rows:
        """Return, for (n,) pairs of query and row, the interest that did most to bring it.

        By the linear explanation of Hu, Koren, Volinsky 2008, section 5: the score is a sum over
        the customer's own items. -1 where the customer has no interests.
        """
        best = np.full(len(rows), -1, dtype=np.int32)
        for query in set(queries.tolist()) & self.solved.keys():
            weighted, system = self.solved[query]
            chosen = queries == query
            items = self.model.of_rows(rows[chosen])
            shares = weighted @ lu_solve(system, items.T, check_finite=False)
            own = self.interests.rows[self.interests.offsets[query] :]
            best[chosen] = own[shares.argmax(axis=0)]
        return best
