"""Chance that repeats: numbers that look drawn, but follow from asker, placement and hour."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import Seconds
from recsys.ids import hashes_of
from recsys.query import Query

HOUR_S = 3_600

Hashes = NDArray[np.uint64]


def hashes(queries: Sequence[Query], seconds: Seconds) -> Hashes:
    """Return the (q,) hashes of asker, placement and hour; who has no name is known by the page."""
    return hashes_of(
        [
            "\0".join((query.placement, str(second // HOUR_S), *_asker(query)))
            for query, second in zip(queries, seconds.tolist(), strict=True)
        ]
    )


def mixed(drawn: Hashes) -> Hashes:
    """Return other numbers that look drawn, one for each (SplitMix64; Steele et al. 2014)."""
    found = drawn + np.uint64(0x9E3779B97F4A7C15)
    found = (found ^ (found >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    found = (found ^ (found >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return found ^ (found >> np.uint64(31))


def units(drawn: Hashes) -> NDArray[np.float64]:
    """Return each hash as a number from 0 to 1, 1 excluded."""
    found: NDArray[np.float64] = (drawn >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return found


def _asker(query: Query) -> Sequence[str]:
    named = query.user_id or query.visitor_id or query.session_id
    return (named,) if named else query.seeds
