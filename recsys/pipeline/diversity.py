"""Diversity: lists whose items differ from each other, at little cost in relevance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import Mask, Rows, Scores, Vectors
from recsys.candidates import Candidates
from recsys.context import Contexts
from recsys.models.factors import FactorModel
from recsys.pipeline.selectors import Top, Varied
from recsys.pipeline.stages import Selector

POOL = 4
"""Candidates that are compared for each place of a list."""

_CROWDED = np.float32(4.0)
"""More than all that tells candidates apart: one of a full category comes behind all others."""
_DECIMALS = 6

Table = NDArray[np.int64]
"""(n_lists, n_pool) places in a pool of candidates, or counts."""


@dataclass(frozen=True, slots=True)
class Diverse:
    """Chooses place by place the candidate that is relevant and unlike those before it.

    Maximal marginal relevance (Carbonell and Goldstein 1998): (1 - diversity) times the relevance,
    as a share of the best, less diversity times the likeness to the most alike item chosen before.
    Likeness, 0 to 1, is half that of the vectors and half being of one category. The first item
    stays; 0 leaves the list as the plain selector makes it.

    diversity: of queries that wish for no other. categories: (n_items,) int32 codes, 0 where
    unknown. per_category: most items of one as long as others remain; 0 for any number.
    """

    diversity: float
    factors: FactorModel
    categories: Rows
    per_category: int = 0

    @property
    def plain(self) -> Selector:
        """The selector that looks at relevance and at the numbers of each category alone."""
        return Varied(self.categories, self.per_category) if self.per_category else Top()

    def shares(self, contexts: Contexts) -> Scores:
        """Return the (q,) diversity of each list."""
        return contexts.asked(lambda wished: wished.diversity, self.diversity)

    def select(self, contexts: Contexts, ranked: Candidates, limits: Rows) -> Candidates:
        """Return the first of each query, in the order in which they were chosen."""
        shares = self.shares(contexts)
        asking = np.flatnonzero(shares > 0)
        if not len(asking):
            return self.plain.select(contexts, ranked, limits)
        pool = self.plain.select(contexts, ranked, POOL * limits)
        starts = np.searchsorted(pool.queries, asking)
        ends = np.searchsorted(pool.queries, asking, side="right")
        columns = np.arange((ends - starts).max(initial=0))
        there = columns < (ends - starts)[:, np.newaxis]
        cells = np.where(there, starts[:, np.newaxis] + columns, 0)
        turns = np.arange(len(pool))
        if cells.size:
            found = self._chosen(pool, cells, there, (shares[asking], limits[asking]))
            turns[cells[there]] = found[there]
        return pool.take(np.lexsort((turns, pool.queries))).first(limits)

    def _chosen(
        self, pool: Candidates, cells: Table, there: Mask, wished: tuple[Scores, Rows]
    ) -> Table:
        """Return the turn at which each cell of the pool is chosen; beyond all turns if never."""
        shares, limits = wished
        rows = pool.rows[cells]
        likeness = _Likeness(_unit(self.factors.of_rows(rows.ravel()), rows), self.categories[rows])
        worth = (1 - shares[:, np.newaxis]) * pool.relative()[cells]
        nearest = np.zeros_like(worth)
        crowd, turns = np.zeros_like(cells), np.full_like(cells, len(pool))
        lists, still = np.arange(len(cells)), there.copy()
        for turn in range(min(int(limits.max()), cells.shape[1])):
            marginal = worth - shares[:, np.newaxis] * nearest
            if self.per_category:
                marginal -= _CROWDED * (crowd >= self.per_category)
            # Rounded, so that a sum's last bit does not decide between equals.
            marginal = np.where(still, marginal.round(_DECIMALS), -np.inf)
            best = marginal.argmax(axis=1)
            going = still[lists, best]
            turns[lists[going], best[going]] = turn
            still[lists, best] = False
            alike, same = likeness.to(lists, best)
            nearest = np.maximum(nearest, alike)
            crowd += same & going[:, np.newaxis]
        return turns


@dataclass(frozen=True, slots=True)
class _Likeness:
    """How alike the candidates of each list are.

    vectors: (n_lists, n_pool, dim) float32, unit length or zero. codes: (n_lists, n_pool) int32.
    """

    vectors: Vectors
    codes: Rows

    def to(self, lists: Table, chosen: Table) -> tuple[Scores, Mask]:
        """Return the likeness of all to one of each list, and whether they share its category."""
        cosines = (self.vectors @ self.vectors[lists, chosen][:, :, np.newaxis])[:, :, 0]
        codes = self.codes[lists, chosen][:, np.newaxis]
        same: Mask = (self.codes == codes) & (codes != 0)
        alike: Scores = (np.maximum(cosines, 0) + same) / np.float32(2)
        return alike, same


def _unit(vectors: Vectors, rows: Rows) -> Vectors:
    """Return (n, dim) vectors at unit length, in the shape of their rows; zero stays zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    shaped: Vectors = unit.reshape(*rows.shape, -1)
    return shaped
