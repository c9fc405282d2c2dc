"""What an index of vectors promises, and the exact one that others are measured against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from recsys.arrays import Mask, Rows, Scores, Vectors
from recsys.eligibility import Eligibility


@dataclass(frozen=True, slots=True)
class Hits:
    """Rows found for each vector, best first; row -1 pads.

    rows: (q, k) int32. scores: (q, k) float32, inner products.
    """

    rows: Rows
    scores: Scores


class VectorIndex(Protocol):
    """Finds the rows of greatest inner product.

    Laws: rows are eligible and unique for their query; scores are the true inner products, in
    descending order; the exact index misses none.
    """

    def search(self, vectors: Vectors, k: int, eligible: Eligibility) -> Hits:
        """Return up to k hits for each of the (q, dim) vectors."""


@dataclass(frozen=True, slots=True)
class ExactIndex:
    """Scores every eligible row.

    items: (n_items, dim) float32. known: (n_items,) bool, rows that may be found at all.
    """

    items: Vectors
    known: Mask

    def search(self, vectors: Vectors, k: int, eligible: Eligibility) -> Hits:
        """Return the k best eligible rows of each vector."""
        rows = np.flatnonzero(eligible.shared & self.known).astype(np.int32)
        everywhere = len(rows) == len(self.items)
        scores = vectors @ (self.items if everywhere else self.items[rows]).T
        place = np.full(len(self.items), -1, dtype=np.int32)
        place[rows] = np.arange(len(rows), dtype=np.int32)
        queries, excluded = eligible.excluded.owners(), place[eligible.excluded.rows]
        scores[queries[excluded >= 0], excluded[excluded >= 0]] = -np.inf
        return best_hits(rows, scores, k)


def best_hits(rows: Rows, scores: Scores, k: int) -> Hits:
    """Return the k best of (q, n) scores of these (n,) rows; -inf scores are no hits."""
    depth = min(k, len(rows))
    hits = Hits(
        np.full((len(scores), k), -1, dtype=np.int32),
        np.full((len(scores), k), -np.inf, dtype=np.float32),
    )
    if depth == 0:
        return hits
    best = np.argpartition(-scores, depth - 1, axis=1)[:, :depth]
    found = np.take_along_axis(scores, best, axis=1)
    order = np.lexsort((rows[best], -found), axis=1)
    best, found = np.take_along_axis(best, order, axis=1), np.take_along_axis(found, order, axis=1)
    hits.rows[:, :depth] = np.where(np.isneginf(found), -1, rows[best])
    hits.scores[:, :depth] = found
    return hits
