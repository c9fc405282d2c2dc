"""Interest: what an event says about how much a customer cares for an item, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from recsys.arrays import Scores, Times
from recsys.events import EVENT_CODES, EVENT_TYPES, EventType
from recsys.timelines import Timeline, Weighted

DEFAULT_WEIGHTS: Mapping[EventType, float] = {
    EventType.CLICK: 0.2,
    EventType.DETAIL_VIEW: 0.3,
    EventType.ADD_TO_CART: 0.7,
    EventType.PURCHASE: 1.0,
    EventType.LIKE: 1.0,
}


PURCHASE = EVENT_CODES[EventType.PURCHASE]


@dataclass(frozen=True, slots=True)
class Interest:
    """How events add up to interest in an item.

    An event counts its type's weight, halved every `half_life_days` (0: never); an item's events
    add up with diminishing returns, ln(1 + sum).

    weights: (n_event_types,) float32 by event code, >= 0.
    """

    weights: Scores
    half_life_days: float

    @classmethod
    def of_types(cls, weights: Mapping[EventType, float], half_life_days: float) -> Interest:
        """Return the interest in which types not named weigh nothing."""
        table = np.zeros(len(EVENT_TYPES), dtype=np.float32)
        for kind, weight in weights.items():
            table[EVENT_CODES[kind]] = weight
        return cls(table, half_life_days)

    def of(self, history: Timeline, purchases: Timeline, now: Times) -> Weighted:
        """Return each query's interest in the items of its history, as of its (q,) instant.

        Purchases count from their own, longer, memory; everything else from the history.
        """
        visits = history.take((history.kinds != PURCHASE) & (self.weights[history.kinds] > 0))
        queries = np.concatenate((visits.owners(), purchases.owners()))
        rows = np.concatenate((visits.rows, purchases.rows))
        weights = np.concatenate((self._weigh(visits, now), self._weigh(purchases, now)))
        total = Weighted.summed(queries, rows, weights, len(history))
        return Weighted(total.offsets, total.rows, np.log1p(total.weights))

    def _weigh(self, line: Timeline, now: Times) -> Scores:
        weights = self.weights[line.kinds]
        fading: Scores = weights * decay(line.ages(now), self.half_life_days)
        return fading


def decay(ages: Scores, half_life_days: float) -> Scores:
    """Return 2^(-age / half-life) of (n,) ages in days; 1 everywhere when the half-life is 0."""
    if half_life_days <= 0:
        return np.ones_like(ages)
    left: Scores = np.exp2(-ages / np.float32(half_life_days)).astype(np.float32)
    return left
