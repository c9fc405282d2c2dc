"""Repurchase: what a customer is likely to buy again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from recsys.arrays import Scores, Times
from recsys.interest import decay
from recsys.timelines import Timeline, Weighted


@dataclass(frozen=True, slots=True)
class RepurchaseModel:
    """Personal frequency with decay, times how often buyers of an item buy it again.

    repeat_rates: (n_items,) float32 in (0, 1], share of an item's buyers who bought it on a
        second day, shrunk towards the share over all items.
    half_life_days: how fast an old purchase fades.
    """

    repeat_rates: Scores
    half_life_days: float

    def lately(self) -> Self:
        """Return the same model with a third of the memory: what is being bought these weeks.

        Habit and present need differ, and a blend of two memories foresees more than either.
        """
        return replace(self, half_life_days=self.half_life_days / 3)

    def score(self, purchases: Timeline, now: Times) -> Weighted:
        """Return the score of each item that each query's customer has bought."""
        fading = decay(purchases.ages(now), self.half_life_days)
        total = Weighted.summed(purchases.owners(), purchases.rows, fading, len(purchases))
        return Weighted(total.offsets, total.rows, total.weights * self.repeat_rates[total.rows])
