"""Popularity: how much an item is bought of late, and whether that is more than it used to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from recsys.arrays import Rows, Scores, frozen


@dataclass(frozen=True, slots=True)
class PopularityModel:
    """Purchases of each item, halved with age.

    counts: (n_items,) float32, >= 0.
    order: (n_items,) int32 rows, most popular first; ties go to the lower row.
    trends: (n_items,) float32, > 0, an item's share of all purchases of late over its share in
        the long run; 1 where nothing changed.
    """

    counts: Scores
    order: Rows
    trends: Scores

    @classmethod
    def of(cls, counts: Scores, trends: Scores | None = None) -> Self:
        """Return the model of these counts; without trends nothing changes."""
        order = np.argsort(-counts, kind="stable").astype(np.int32)
        steady = np.ones(len(counts), dtype=np.float32) if trends is None else trends
        return cls(frozen(counts), frozen(order), frozen(steady))
