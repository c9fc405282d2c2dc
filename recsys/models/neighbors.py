"""Item-item neighbours: which items go with which, in one respect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.sparse import csr_matrix

from recsys.arrays import Mask, Offsets, Rows, Scores, entries_of, frozen, keys_of
from recsys.timelines import Weighted


@dataclass(frozen=True, slots=True)
class NeighborModel:
    """The nearest neighbours of each item; an item that came later has none, and is nobody's.

    offsets: (n_items + 1,) int64 bounds of each item's neighbours.
    rows: (n,) int32 neighbours. similarities: (n,) float32, > 0.
    """

    offsets: Offsets
    rows: Rows
    similarities: Scores

    @classmethod
    def empty(cls, n_items: int) -> Self:
        """Return the model in which no item has a neighbour."""
        return cls(
            frozen(np.zeros(n_items + 1, dtype=np.int64)),
            frozen(np.empty(0, dtype=np.int32)),
            frozen(np.empty(0, dtype=np.float32)),
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def score(self, interests: Weighted) -> Weighted:
        """Return, by query, the sum of the similarities to its interests, each by its weight.

        Rows are in no order.
        """
        known = interests.rows < len(self)
        if not known.all():
            interests = interests.take(known)
        shape = (len(interests), len(self))
        asked = csr_matrix((interests.weights, interests.rows, interests.offsets), shape=shape)
        scores = asked @ csr_matrix(
            (self.similarities, self.rows, self.offsets), shape=(len(self), len(self))
        )
        return Weighted(scores.indptr.astype(np.int64), scores.indices, scores.data)

    def anchors(self, interests: Weighted, queries: Rows, rows: Rows) -> Rows:
        """Return, for (n,) pairs of query and row, the interest nearest to it; -1 where none is."""
        places, causes = self._proposed(interests)
        hits, pairs = pairs_among(interests.owners()[causes], self.rows[places], queries, rows)
        places, causes = places[hits], causes[hits]
        shares = self.similarities[places] * interests.weights[causes]
        strongest = strongest_causes(pairs, causes, shares, len(rows))
        return causes_as_rows(strongest, interests.rows)

    def _proposed(self, interests: Weighted) -> tuple[Rows, Rows]:
        """Return the places of all neighbours of all interests, and the place of each interest."""
        known = np.flatnonzero(interests.rows < len(self)).astype(np.int32)
        rows = interests.rows[known]
        causes: Rows = np.repeat(known, np.diff(self.offsets)[rows])
        return entries_of(self.offsets, rows).astype(np.int32), causes


def pairs_among(
    queries: Rows, rows: Rows, asked_queries: Rows, asked_rows: Rows
) -> tuple[Rows, Rows]:
    """Return which (n,) pairs of query and row are asked for, and the place of each of these.

    asked_queries, asked_rows: (m,) distinct pairs.
    """
    asked = keys_of(asked_queries, asked_rows)
    if not len(asked):
        nothing = np.empty(0, dtype=np.int32)
        return nothing, nothing
    proposed = keys_of(queries, rows)
    order = np.argsort(asked, kind="stable")
    found = np.minimum(np.searchsorted(asked, proposed, sorter=order), len(asked) - 1)
    hits = np.flatnonzero(asked[order[found]] == proposed)
    return hits.astype(np.int32), order[found[hits]].astype(np.int32)


def strongest_causes(pairs: Rows, causes: Rows, shares: Scores, n_pairs: int) -> Rows:
    """Return, for each of `n_pairs`, the cause of the greatest share above 0; -1 without one.

    pairs, causes, shares: (n,) each share that a cause has in a pair. Ties go to the lower cause.
    """
    order = np.lexsort((causes, -shares, pairs))
    _, first = np.unique(pairs[order], return_index=True)
    chosen = order[first]
    chosen = chosen[shares[chosen] > 0]
    best = np.full(n_pairs, -1, dtype=np.int32)
    best[pairs[chosen]] = causes[chosen]
    return best


def causes_as_rows(causes: Rows, rows: Rows) -> Rows:
    """Return the row of each (n,) cause; -1 of none."""
    known: Mask = causes >= 0
    found = np.full(len(causes), -1, dtype=np.int32)
    found[known] = rows[causes[known]]
    return found
