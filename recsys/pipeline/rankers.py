"""Rankers: one score from what the sources said."""

from __future__ import annotations

from dataclasses import dataclass

from recsys.arrays import Scores
from recsys.candidates import Candidates
from recsys.context import Contexts


@dataclass(frozen=True, slots=True)
class WeightedSum:
    """Adds up the sources' signals under fixed weights.

    weights: (n_sources,) float32, >= 0, chosen on validation.
    """

    weights: Scores

    def score(self, contexts: Contexts, candidates: Candidates) -> Scores:
        """Return the weighted sum of each candidate's signals."""
        return candidates.signals @ self.weights

    def contributions(self, candidates: Candidates) -> Scores:
        """Return the (n, n_sources) share of each source in the scores."""
        return candidates.signals * self.weights
