"""Popularity, and how it moves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import SECONDS_A_DAY, Scores
from recsys.events import EventType
from recsys.interactions import Interactions
from recsys.interest import decay
from recsys.models.popularity import PopularityModel

Counts = NDArray[np.float64]

PRIOR_SHARE = 1e-6
"""Share of all purchases that an item is given beforehand, so that few say little."""


def fit_popularity(
    interactions: Interactions,
    now: np.datetime64,
    *,
    half_life_days: float,
    trends: Scores | None = None,
) -> PopularityModel:
    """Return how often each item was bought, purchases halved every so many days (0: never).

    trends: (n_items,) of `fit_trend`; None where they do not matter.
    """
    counts = _counts(interactions, now, half_life_days).astype(np.float32)
    return PopularityModel.of(counts, trends)


def fit_trend(
    interactions: Interactions, now: np.datetime64, *, recent_days: float, long_days: float
) -> Scores:
    """Return (n_items,) how much more of all purchases an item has of late than over the long run.

    1 where nothing changed. recent_days, long_days: half-lives of the two.
    """
    recent = _shares(_counts(interactions, now, recent_days))
    usual = _shares(_counts(interactions, now, long_days))
    trend: Scores = ((recent + PRIOR_SHARE) / (usual + PRIOR_SHARE)).astype(np.float32)
    return trend


def _counts(interactions: Interactions, now: np.datetime64, half_life_days: float) -> Counts:
    bought = interactions.of_kind(EventType.PURCHASE)
    ages = ((now - bought.times).astype(np.float64) / SECONDS_A_DAY).astype(np.float32)
    fading = decay(np.maximum(ages, np.float32(0)), half_life_days)
    counts = np.bincount(bought.items, weights=fading, minlength=interactions.n_items)
    return counts.astype(np.float64, copy=False)


def _shares(counts: Counts) -> Counts:
    shares: Counts = counts / max(float(counts.sum()), PRIOR_SHARE)
    return shares
