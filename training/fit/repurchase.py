"""Buying again: how often buyers of an item buy it on a second day."""

from __future__ import annotations

import numpy as np

from recsys.arrays import Scores, frozen, keys_of, rows_of
from recsys.events import EventType
from recsys.interactions import Interactions


def fit_repeat_rates(interactions: Interactions, *, prior_buyers: float) -> Scores:
    """Return (n_items,) the share of an item's buyers who bought it on a second day.

    Shrunk as if `prior_buyers` average buyers had come before, so it lies in (0, 1) as soon as
    anybody bought anything twice.
    """
    bought = interactions.of_kind(EventType.PURCHASE)
    days = bought.times.astype("datetime64[D]").astype(np.int64)
    pairs, codes = np.unique(keys_of(bought.users, bought.items), return_inverse=True)
    visits = np.unique(codes.astype(np.int64) << 20 | days)  # days since 1970 fit 20 bits
    n_days = np.bincount(visits >> 20, minlength=len(pairs))
    items = rows_of(pairs)
    buyers = np.bincount(items, minlength=interactions.n_items)
    repeaters = np.bincount(items[n_days > 1], minlength=interactions.n_items)
    average = repeaters.sum() / max(buyers.sum(), 1)
    # Without any repeater rates would be 0 and say nothing; half a repeater keeps them positive.
    average = max(average, 0.5 / max(buyers.sum(), 1))
    rates = (repeaters + prior_buyers * average) / (buyers + prior_buyers)
    return frozen(rates.astype(np.float32))
