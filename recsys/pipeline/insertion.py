"""Insertion: where others stand in a list that is made, and which of its items leave for them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import Mask, Rows, places_within
from recsys.candidates import Candidates

Counts = NDArray[np.int64]


def leaving(listed: Candidates, staying: Mask, n_more: Counts) -> Mask:
    """Return the last `n_more` (q,) of each list that are neither first nor in the (n,) mask."""
    free = np.flatnonzero(~staying & (places_within(listed.queries) > 0))
    queries = listed.queries[free]
    n_free = np.bincount(queries, minlength=len(n_more))
    found = np.zeros(len(listed), dtype=np.bool_)
    found[free[places_within(queries) >= (n_free - n_more)[queries]]] = True
    return found


def spread(kept: Rows, more: Rows, lengths: Counts, offsets: NDArray[np.float64]) -> Counts:
    """Return the order that makes lists of those kept and, behind them, of more.

    Others keep their order behind the first; each list's more are evenly spread, from its offset
    (q,), 0 to 1, on. kept, more: (m,) and (n,) queries, ascending. lengths: (q,) of both together.
    """
    n_more = np.bincount(more, minlength=len(lengths))
    steps = places_within(more) + offsets[more]
    places = 1 + np.floor(steps * (lengths[more] - 1) / n_more[more]).astype(np.int64)
    free = np.arange(lengths.max(initial=0)) < lengths[:, np.newaxis]
    free[more, places] = False
    return np.lexsort((np.concatenate((np.nonzero(free)[1], places)), np.concatenate((kept, more))))
