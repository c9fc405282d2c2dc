"""What is looked at beside each item, in one session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.sparse import csr_matrix, diags

from recsys.arrays import Rows, Seconds
from recsys.events import EventType
from recsys.interactions import Interactions
from recsys.models.neighbors import NeighborModel
from recsys.models.sessions import LOOKS
from training.fit.neighbors import nearest_of

FARTHEST = 5
"""Looks apart that two items may be to be looked at together."""
BLOCK = 2_000_000
"""Looks that are paired together; bounds memory, changes nothing."""


@dataclass(frozen=True, slots=True)
class ViewedConfig:
    """How it is counted.

    decay: what one look further apart counts, 0 to 1. smoothing: looks at an average item that
    are assumed of each before its own. exponent: how much of popularity is divided out, 0 to 1.
    """

    decay: float
    smoothing: float
    exponent: float


@dataclass(frozen=True, slots=True)
class Visits:
    """Events session by session, in time order within each.

    sessions: (n,) int32, ascending. rows: (n,) int32 items. seconds: (n,) int64.
    """

    sessions: Rows
    rows: Rows
    seconds: Seconds

    @classmethod
    def of(cls, interactions: Interactions, kinds: tuple[EventType, ...]) -> Self:
        """Return the events of these types; of an item several times in a row, the last."""
        chosen = interactions.of_kind(*kinds)
        sessions = chosen.sessions()
        order = np.argsort(sessions, kind="stable")
        sessions, rows = sessions[order], chosen.items[order]
        seconds = chosen.times[order].astype("datetime64[s]").astype(np.int64)
        last = np.ones(len(rows), dtype=np.bool_)
        last[:-1] = (sessions[1:] != sessions[:-1]) | (rows[1:] != rows[:-1])
        return cls(sessions[last], rows[last], seconds[last])

    def __len__(self) -> int:
        return len(self.rows)


def fit_viewed(interactions: Interactions, config: ViewedConfig, *, k: int) -> NeighborModel:
    """Return the `k` items that are most looked at beside each item; none without looks.

    Two items of one session count `decay` to the power of the looks between them; the sum is
    divided by the looks at either, smoothed, to the power of the exponent.
    """
    visits = Visits.of(interactions, LOOKS)
    if not len(visits):
        return NeighborModel.empty(interactions.n_items)
    beside = _beside(visits, interactions.n_items, config.decay)
    looks = np.bincount(visits.rows, minlength=interactions.n_items).astype(np.float64)
    assumed = config.smoothing * looks[looks > 0].mean()
    shares = np.where(looks > 0, np.maximum(looks + assumed, 1e-9) ** -config.exponent, 0.0)
    return nearest_of((diags(shares) @ beside @ diags(shares)).tocsr(), k)


def _beside(visits: Visits, n_items: int, decay: float) -> csr_matrix:
    """Return the (n_items, n_items) weight of the looks at two items beside each other."""
    total = csr_matrix((n_items, n_items))
    for start in range(0, len(visits), BLOCK):
        for apart in range(1, FARTHEST + 1):
            first = np.arange(start, min(start + BLOCK, len(visits) - apart))
            first = first[visits.sessions[first] == visits.sessions[first + apart]]
            pairs = visits.rows[first], visits.rows[first + apart]
            weights = np.full(len(first), decay ** (apart - 1))
            total = total + csr_matrix((weights, pairs), shape=total.shape)
    return total + total.T
