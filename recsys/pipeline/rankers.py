"""Rankers: one score from what the sources said."""

from __future__ import annotations

from dataclasses import dataclass

from recsys.arrays import Scores
from recsys.candidates import Candidates
from recsys.context import Contexts


@dataclass(frozen=True, slots=True)
class WeightedSum:
    """Adds up the sources' signals under fixed weights, more for items that sell more of late.

    weights: (n_sources,) float32, >= 0, chosen on validation.
    lifts: (n_items,) float32, > 0, what an item's sum is multiplied by; None multiplies nothing.
    """

    weights: Scores
    lifts: Scores | None = None

    def score(self, contexts: Contexts, candidates: Candidates) -> Scores:
        """Return the weighted sum of each candidate's signals, lifted."""
        sums: Scores = candidates.signals @ self.weights
        return sums if self.lifts is None else sums * self.lifts[candidates.rows]

    def contributions(self, candidates: Candidates) -> Scores:
        """Return the (n, n_sources) share of each source in the sums, before they are lifted."""
        return candidates.signals * self.weights
