"""What an index of vectors promises, and the exact one that others are measured against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import Mask, Rows, Scores, Vectors
from recsys.eligibility import Eligibility

BLOCK = 32
"""Scores that are looked at together for their greatest."""


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
    shape = (len(scores), k)
    hits = Hits(np.full(shape, -1, dtype=np.int32), np.full(shape, -np.inf, dtype=np.float32))
    if depth == 0:
        return hits
    places = _contenders(scores, depth)
    found = np.take_along_axis(scores, places, axis=1)
    best = np.argpartition(-found, depth - 1, axis=1)[:, :depth]
    found = np.take_along_axis(found, best, axis=1)
    chosen = rows[np.take_along_axis(places, best, axis=1)]
    order = np.lexsort((chosen, -found), axis=1)
    chosen = np.take_along_axis(chosen, order, axis=1)
    found = np.take_along_axis(found, order, axis=1)
    hits.rows[:, :depth] = np.where(np.isneginf(found), -1, chosen)
    hits.scores[:, :depth] = found
    return hits


def _contenders(scores: Scores, depth: int) -> NDArray[np.int64]:
    """Return (q, m) places that hold the `depth` best of each query, and few others.

    An item among the best stands in a block whose greatest score is among the best `depth` of all
    blocks, so only those blocks are looked into.
    """
    n_queries, n_items = scores.shape
    n_blocks = n_items // BLOCK
    if 2 * depth >= n_blocks:
        return np.broadcast_to(np.arange(n_items), scores.shape)
    whole = n_blocks * BLOCK
    greatest = scores[:, :whole].reshape(n_queries, n_blocks, BLOCK).max(axis=2)
    blocks = np.argpartition(-greatest, depth - 1, axis=1)[:, :depth]
    inside = (blocks[:, :, np.newaxis] * BLOCK + np.arange(BLOCK)).reshape(n_queries, depth * BLOCK)
    beyond = np.broadcast_to(np.arange(whole, n_items), (n_queries, n_items - whole))
    return np.concatenate((inside, beyond), axis=1)
