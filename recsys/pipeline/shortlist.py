"""Shortlists: what a source proposes once, for all lists of a page."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsys.arrays import Keys, keys_of
from recsys.candidates import Candidates
from recsys.eligibility import Eligibility


@dataclass(frozen=True, slots=True)
class Shortlist:
    """The best `depth` items that a source proposes to each query, of those eligible."""

    eligible: Eligibility
    depth: int
    found: Candidates

    def without(self, gone: Keys, k: int, n_queries: int) -> Candidates:
        """Return the best `k` of each query but for the pairs of query and row that are gone.

        gone: ascending; those of a query are no more than `depth - k`.
        """
        found = self.found
        if len(gone):
            keys = keys_of(found.queries, found.rows)
            places = np.minimum(np.searchsorted(gone, keys), len(gone) - 1)
            found = found.take(gone[places] != keys)
        elif k == self.depth:
            return found
        return found.first(np.full(n_queries, k, dtype=np.int32))
