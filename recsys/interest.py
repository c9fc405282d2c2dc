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
    EventType.ADD_TO_WISHLIST: 0.7,
    EventType.PURCHASE: 1.0,
    EventType.LIKE: 1.0,
    EventType.RATING: 1.0,
}

_RATING = EVENT_CODES[EventType.RATING]
_NEUTRAL_RATING = 3.0
_BEST_RATING = 5.0


@dataclass(frozen=True, slots=True)
class Interest:
    """How events add up to interest in an item.

    An event counts its type's weight, halved every `half_life_days` (0: never); a rating counts in
    full at 5 and not at all from 3 down. An item's events add up with diminishing returns,
    ln(1 + sum).

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

    def of(
        self, history: Timeline, purchases: Timeline, opinions: Timeline, now: Times
    ) -> Weighted:
        """Return each query's interest in the items it met, as of its (q,) instant."""
        lines = (history, purchases, opinions)
        queries = np.concatenate([line.owners() for line in lines])
        rows = np.concatenate([line.rows for line in lines])
        weights = np.concatenate([self._weigh(line, now) for line in lines])
        some = weights > 0
        total = Weighted.summed(queries[some], rows[some], weights[some], len(history))
        return Weighted(total.offsets, total.rows, np.log1p(total.weights))

    def _weigh(self, line: Timeline, now: Times) -> Scores:
        liked = (line.quantities - _NEUTRAL_RATING) / (_BEST_RATING - _NEUTRAL_RATING)
        shares = np.where(line.kinds == _RATING, np.clip(liked, 0.0, 1.0), 1.0)
        weights = (self.weights[line.kinds] * shares).astype(np.float32)
        fading: Scores = weights * decay(line.ages(now), self.half_life_days)
        return fading


def decay(ages: Scores, half_life_days: float) -> Scores:
    """Return 2^(-age / half-life) of (n,) ages in days; 1 everywhere when the half-life is 0."""
    if half_life_days <= 0:
        return np.ones_like(ages)
    left: Scores = np.exp2(-ages / np.float32(half_life_days)).astype(np.float32)
    return left
