"""Popularity: how much an item is bought of late."""

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
    """

    counts: Scores
    order: Rows

    @classmethod
    def of(cls, counts: Scores) -> Self:
        """Return the model of these counts."""
        order = np.argsort(-counts, kind="stable").astype(np.int32)
        return cls(frozen(counts), frozen(order))
