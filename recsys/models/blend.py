"""Blends: how much each source counts in a placement, and how much an item's trend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

TREND = "trend"
"""Name of the trend's exponent among the numbers of a blend; no source is called so."""


@dataclass(frozen=True, slots=True)
class Blend:
    """What was chosen for a placement on validation.

    weights: of its sources; an unnamed source counts 1.
    trend: the sum of the sources is multiplied by the item's trend to this power; 0 is not at all.
    """

    weights: Mapping[str, float]
    trend: float = 0.0

    @classmethod
    def of(cls, numbers: Mapping[str, float]) -> Self:
        """Return the blend that `numbers` came from."""
        weights = {name: number for name, number in numbers.items() if name != TREND}
        return cls(weights, numbers.get(TREND, 0.0))

    def numbers(self) -> dict[str, float]:
        """Return weights and trend in one mapping, as a manifest keeps them."""
        return {**{str(name): weight for name, weight in self.weights.items()}, TREND: self.trend}

    def weight(self, source: str) -> float:
        """Return the weight of a source."""
        return self.weights.get(source, 1.0)
