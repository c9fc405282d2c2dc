"""Matrix factorisation: item vectors, and a customer's vector folded in from interests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from recsys.arrays import Mask, Rows, Scores, Vectors, frozen
from recsys.timelines import Weighted


@dataclass(frozen=True, slots=True)
class FactorModel:
    """Item side of a weighted matrix factorisation (Hu, Koren, Volinsky 2008).

    Customer vectors are never stored: they are folded in from interests at each question.

    items: (n_items, dim) float32; zero for items nobody has bought.
    gram: (dim, dim) float32, itemsᵀ items.
    regularization: weight of the vectors' own length, > 0.
    alpha: confidence of one unit of interest, > 0; what nobody showed interest in counts 1.
    """

    items: Vectors
    gram: Vectors
    regularization: float
    alpha: float

    @classmethod
    def of(cls, items: Vectors, *, regularization: float, alpha: float) -> Self:
        """Return the model of these item vectors."""
        return cls(frozen(items), frozen(items.T @ items), regularization, alpha)

    @property
    def known(self) -> Mask:
        """(n_items,) whether the model has learned anything of the item."""
        known: Mask = np.any(self.items != 0, axis=1)
        return known

    def fold_in(self, interests: Weighted) -> Vectors:
        """Return the (q, dim) vectors of customers with these interests; zero without any.

        Solves (YᵀY + Yᵀ(C - I)Y + λI) x = YᵀC 1 for each, as the trainer does for its users.
        """
        vectors = np.zeros((len(interests), self.items.shape[1]), dtype=np.float32)
        # One small BLAS product a query: a batched form would hold n outer products in memory.
        for query in np.flatnonzero(np.diff(interests.offsets)).tolist():
            own, confidence = self._own(interests, query)
            vectors[query] = np.linalg.solve(self._system(own, confidence), own.T @ confidence)
        return vectors

    def anchors(self, interests: Weighted, queries: Rows, rows: Rows) -> Rows:
        """Return, for (n,) pairs of query and row, the interest that did most to bring it.

        By the linear explanation of Hu, Koren, Volinsky 2008, section 5: the score is a sum over
        the customer's own items. -1 where the customer has no interests.
        """
        best = np.full(len(rows), -1, dtype=np.int32)
        for query in np.unique(queries).tolist():
            start, end = interests.offsets[query], interests.offsets[query + 1]
            if start == end:
                continue
            chosen = queries == query
            own, confidence = self._own(interests, query)
            through = np.linalg.solve(self._system(own, confidence), self.items[rows[chosen]].T)
            shares = (own @ through) * confidence[:, np.newaxis]
            best[chosen] = interests.rows[start:end][shares.argmax(axis=0)]
        return best

    def _own(self, interests: Weighted, query: int) -> tuple[Vectors, Scores]:
        own = slice(interests.offsets[query], interests.offsets[query + 1])
        return self.items[interests.rows[own]], self.alpha * interests.weights[own]

    def _system(self, own: Vectors, confidence: Scores) -> Vectors:
        ridge = self.regularization * np.eye(len(self.gram), dtype=np.float32)
        system: Vectors = self.gram + ridge + own.T @ (own * (confidence - 1)[:, np.newaxis])
        return system
