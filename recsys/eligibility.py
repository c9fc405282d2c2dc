"""Eligibility: what each query of a batch may show. Filters narrow it before retrieval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from recsys.arrays import Mask, Rows, keys_of, owners_of, rows_of
from recsys.timelines import Ragged

LARGEST_TABLE = 1 << 26
"""Bytes of the largest table of queries by items; beyond it pairs are looked up by sorting."""


@dataclass(frozen=True, slots=True)
class Eligibility:
    """One mask shared by the batch, less what each query excludes for itself.

    shared: (n_items,) bool, the same for all queries of the batch.
    excluded: rows each query excludes for itself.
    """

    shared: Mask
    excluded: Ragged

    @classmethod
    def everything(cls, n_items: int, n_queries: int) -> Self:
        """Return the eligibility that allows every item to every query."""
        return cls(np.ones(n_items, dtype=np.bool_), Ragged.empty(n_queries))

    def within(self, mask: Mask) -> Self:
        """Return this eligibility, for rows of the (n_items,) mask only."""
        return type(self)(self.shared & mask, self.excluded)

    def without(self, excluded: Ragged) -> Self:
        """Return this eligibility less the rows that each query excludes."""
        if not len(excluded.rows):
            return self
        return type(self)(self.shared, self.excluded.joined(excluded))

    def allows(self, queries: Rows, rows: Rows) -> Mask:
        """Return, for (n,) pairs of query and row, whether the query may show the row."""
        if not len(self.excluded.rows):
            return self.shared[rows]
        if len(self.excluded) * len(self.shared) <= LARGEST_TABLE:
            table = np.broadcast_to(self.shared, (len(self.excluded), len(self.shared))).copy()
            table[self.excluded.owners(), self.excluded.rows] = False
            return table[queries, rows]
        refused = keys_of(self.excluded.owners(), self.excluded.rows)
        return self.shared[rows] & ~np.isin(keys_of(queries, rows), refused)

    def of_query(self, query: int) -> Mask:
        """Return the (n_items,) mask of one query."""
        mask = self.shared.copy()
        mask[self.excluded.at(query)] = False
        return mask

    def most_excluded(self) -> int:
        """Return the largest number of rows that one query excludes for itself."""
        return int(np.diff(self.excluded.offsets).max(initial=0))

    def counts_of(self, some: Ragged) -> Rows:
        """Return the (q,) number of some items of each query, none twice, that it may show."""
        queries = some.owners()
        allowed = queries[self.allows(queries, some.rows)]
        return np.bincount(allowed, minlength=len(some)).astype(np.int32)

    def counts(self) -> Rows:
        """Return the (q,) number of items each query may show."""
        queries, rows = self.excluded.owners(), self.excluded.rows
        pairs = np.unique(keys_of(queries, rows))
        taken = owners_of(pairs[self.shared[rows_of(pairs)]])
        lost = np.bincount(taken, minlength=len(self.excluded))
        return (np.count_nonzero(self.shared) - lost).astype(np.int32)
