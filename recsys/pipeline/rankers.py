"""Rankers: one score from what the sources said."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsys.arrays import Scores
from recsys.candidates import Candidates
from recsys.context import Contexts


@dataclass(frozen=True, slots=True)
class WeightedSum:
    """Adds up the sources' signals under fixed weights, more for items that sell more of late.

    weights: (n_sources,) float32, >= 0, chosen on validation.
    trends: (n_items,) float32, > 0, of the items; a sum is multiplied by its item's trend to the
        power of `exponent`.
    """

    weights: Scores
    trends: Scores
    exponent: float = 0.0

    def score(self, contexts: Contexts, candidates: Candidates) -> Scores:
        """Return the weighted sum of each candidate's signals, lifted."""
        sums: Scores = candidates.signals @ self.weights
        if not self.exponent:
            return sums
        return sums * self.trends[candidates.rows] ** np.float32(self.exponent)

    def contributions(self, candidates: Candidates) -> Scores:
        """Return the (n, n_sources) share of each source in the sums, before they are lifted."""
        return candidates.signals * self.weights
