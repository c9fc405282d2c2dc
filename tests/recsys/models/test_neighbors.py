"""Neighbours: what they add up to, and what of items that came after them."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.models.neighbors import NeighborModel
from recsys.timelines import Weighted

MODEL = NeighborModel(
    np.array([0, 2, 3, 3], dtype=np.int64),
    np.array([1, 2, 2], dtype=np.int32),
    np.array([0.5, 0.2, 0.4], dtype=np.float32),
)
"""Item 0 has the neighbours 1 and 2, item 1 the neighbour 2, item 2 none."""


def interests(*pairs: tuple[int, float]) -> Weighted:
    """Return what one customer cares for: (row, weight), rows ascending."""
    rows, weights = zip(*pairs, strict=True)
    nobody = np.zeros(len(pairs), dtype=np.int32)
    return Weighted.summed(
        nobody, np.array(rows, dtype=np.int32), np.array(weights, dtype=np.float32), 1
    )


def weights_of(scored: Weighted) -> dict[int, float]:
    return dict(zip(scored.rows.tolist(), scored.weights.tolist(), strict=True))


def test_scores_add_up_interest_times_similarity() -> None:
    scored = MODEL.score(interests((0, 1.0), (1, 2.0)))

    assert weights_of(scored) == pytest.approx({1: 0.5, 2: 1.0})


def test_an_item_that_came_later_brings_nothing_and_changes_nothing() -> None:
    scored = MODEL.score(interests((0, 1.0), (7, 5.0)))

    assert weights_of(scored) == pytest.approx({1: 0.5, 2: 0.2})


def test_the_anchor_is_the_interest_that_adds_most() -> None:
    asked = np.array([0, 0, 0], dtype=np.int32)

    anchors = MODEL.anchors(
        interests((0, 1.0), (1, 2.0), (9, 1.0)), asked, np.array([1, 2, 9], dtype=np.int32)
    )

    assert anchors.tolist() == [0, 1, -1]


def test_without_neighbours_nothing_is_scored() -> None:
    assert weights_of(NeighborModel.empty(3).score(interests((0, 1.0), (5, 1.0)))) == {}
