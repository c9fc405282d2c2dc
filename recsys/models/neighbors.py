"""Item-item neighbours: which items are bought together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from recsys.arrays import Offsets, Rows, Scores, entries_of, keys_of
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
        lengths = np.diff(self.offsets)[interests.rows]
        places = entries_of(self.offsets, interests.rows)
        causes = np.repeat(np.arange(len(interests.rows)), lengths)
        proposed = keys_of(interests.owners()[causes], self.rows[places])
        asked = keys_of(queries, rows)
        order = np.argsort(asked, kind="stable")
        found = np.searchsorted(asked, proposed, sorter=order)
        found[found == len(asked)] = 0
        hits = np.flatnonzero(asked[order[found]] == proposed) if len(asked) else found[:0]
        pairs, causes = order[found[hits]], causes[hits]
        shares = self.similarities[places[hits]] * interests.weights[causes]
        strongest = np.lexsort((causes, -shares, pairs))
        best = np.full(len(rows), -1, dtype=np.int32)
        _, first = np.unique(pairs[strongest], return_index=True)
        chosen = strongest[first]
        chosen = chosen[shares[chosen] > 0]
        best[pairs[chosen]] = interests.rows[causes[chosen]]
        return best
