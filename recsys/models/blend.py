"""Blends: how much each source counts in a placement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Blend:
    """The weights of a placement's sources, chosen on validation; an unnamed source counts 1."""

    weights: Mapping[str, float]

    def weight(self, source: str) -> float:
        """Return the weight of a source."""
        return self.weights.get(source, 1.0)
