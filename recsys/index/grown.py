"""An index that has grown: the one that was built, and an exact one over later rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsys.arrays import Vectors, offsets_of
from recsys.eligibility import Eligibility
from recsys.index.index import ExactIndex, Hits, VectorIndex
from recsys.timelines import Ragged


@dataclass(frozen=True, slots=True)
class GrownIndex:
    """Searches the first `n_first` rows with one index and those behind with another.

    newer: over the rows behind; its row 0 is row `n_first`.
    """

    first: VectorIndex
    n_first: int
    newer: ExactIndex

    def search(self, vectors: Vectors, k: int, eligible: Eligibility) -> Hits:
        """Return up to k hits for each vector, of both indexes."""
        old, new = split(eligible, self.n_first)
        found = self.first.search(vectors, k, old)
        if not np.any(new.shared & self.newer.known):
            return found
        return _merged(found, self.newer.search(vectors, k, new), self.n_first)


def split(eligible: Eligibility, n_first: int) -> tuple[Eligibility, Eligibility]:
    """Return the eligibility of the first rows, and of those behind, which count from 0 again."""
    excluded, owners = eligible.excluded, eligible.excluded.owners()
    behind = excluded.rows >= n_first
    old, new = (
        Ragged(
            offsets_of(np.bincount(owners[chosen], minlength=len(excluded))),
            excluded.rows[chosen],
        )
        for chosen in (~behind, behind)
    )
    return (
        Eligibility(eligible.shared[:n_first], old),
        Eligibility(eligible.shared[n_first:], Ragged(new.offsets, new.rows - np.int32(n_first))),
    )


def _merged(old: Hits, new: Hits, n_first: int) -> Hits:
    """Return the best of both, as many as one of them holds; ties go to the lower row."""
    k = old.rows.shape[1]
    rows = np.concatenate(
        (old.rows, np.where(new.rows < 0, new.rows, new.rows + np.int32(n_first))), axis=1
    )
    scores = np.concatenate((old.scores, new.scores), axis=1)
    order = np.lexsort((rows, -scores), axis=1)[:, :k]
    return Hits(np.take_along_axis(rows, order, axis=1), np.take_along_axis(scores, order, axis=1))
