"""Selectors: from a ranked list to the list that is shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsys.arrays import Rows, keys_of, places_within
from recsys.candidates import Candidates
from recsys.context import Contexts


@dataclass(frozen=True, slots=True)
class Top:
    """Keeps the best."""

    def select(self, contexts: Contexts, ranked: Candidates, limits: Rows) -> Candidates:
        """Return the first of each query."""
        return ranked.first(limits)


@dataclass(frozen=True, slots=True)
class Varied:
    """Keeps the best, but at most so many of one category as long as others remain.

    Items beyond the number step back behind all others rather than leave, so the list stays full.
    Items without a category are not counted.

    categories: (n_items,) int32 codes, 0 where unknown.
    per_category: most items of one category in front.
    """

    categories: Rows
    per_category: int

    def select(self, contexts: Contexts, ranked: Candidates, limits: Rows) -> Candidates:
        """Return the first of each query, once surplus items have stepped back."""
        surplus = self._places_in_category(ranked) >= self.per_category
        surplus &= self.categories[ranked.rows] != 0
        order = np.lexsort((surplus, ranked.queries))
        return ranked.take(order).first(limits)

    def _places_in_category(self, ranked: Candidates) -> Rows:
        """Return each candidate's place among those of its query and category, in list order."""
        groups = keys_of(ranked.queries, self.categories[ranked.rows])
        order = np.argsort(groups, kind="stable")
        places = np.empty(len(ranked), dtype=np.int32)
        places[order] = places_within(groups[order])
        return places
