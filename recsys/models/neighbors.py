"""Item-item neighbours: which items are bought together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from recsys.arrays import Offsets, Rows, Scores
from recsys.timelines import Weighted


@dataclass(frozen=True, slots=True)
class NeighborModel:
    """The nearest neighbours of each item.

    offsets: (n_items + 1,) int64 bounds of each item's neighbours.
    rows: (n,) int32 neighbours. similarities: (n,) float32, > 0.
    """

    offsets: Offsets
    rows: Rows
    similarities: Scores

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def matrix(self) -> csr_matrix:
        """Return the (n_items, n_items) similarities, sharing this model's arrays."""
        return csr_matrix(
            (self.similarities, self.rows, self.offsets), shape=(len(self), len(self))
        )

    def score(self, interests: Weighted) -> csr_matrix:
        """Return the (q, n_items) sum of similarities to each query's interests."""
        asked = csr_matrix(
            (interests.weights, interests.rows, interests.offsets),
            shape=(len(interests), len(self)),
        )
        return asked @ self.matrix()

    def anchors(self, interests: Weighted, queries: Rows, rows: Rows) -> Rows:
        """Return, for (n,) pairs of query and row, the interest nearest to it; -1 where none is."""
        best = np.full(len(rows), -1, dtype=np.int32)
        similar = self.matrix()
        for query in np.unique(queries).tolist():
            own = slice(interests.offsets[query], interests.offsets[query + 1])
            if own.start == own.stop:
                continue
            chosen = np.flatnonzero(queries == query)
            shares = similar[interests.rows[own]][:, rows[chosen]].toarray()
            shares *= interests.weights[own, np.newaxis]
            found = shares.max(axis=0) > 0
            best[chosen[found]] = interests.rows[own][shares.argmax(axis=0)[found]]
        return best
