"""Splits in time: the past never sees the future."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from recsys.arrays import Keys, Mask, keys_of
from recsys.events import EventType
from recsys.interactions import Interactions


@dataclass(frozen=True, slots=True)
class Split:
    """Events cut at an instant.

    past: events before it, as they were known then. known: those, and the events of the window that
        starts with it, as they were known at its end. future: events of the window, without
        purchases that were ever given back.
    bought: distinct (user, item) purchases that the past kept, ascending.
    """

    instant: np.datetime64
    past: Interactions
    known: Interactions
    future: Interactions
    bought: Keys

    @classmethod
    def at(cls, interactions: Interactions, instant: np.datetime64, days: float) -> Self:
        """Return the split at an instant, with a window of so many days."""
        end = instant + np.timedelta64(round(days * 86_400), "s")
        past, known = interactions.before(instant), interactions.before(end)
        future = interactions.settled().since(instant).before(end)
        purchases = past.settled().of_kind(EventType.PURCHASE)
        bought = np.unique(keys_of(purchases.users, purchases.items))
        return cls(instant, past, known, future, bought)

    def had_bought(self, pairs: Keys) -> Mask:
        """Return which of these (user, item) pairs are purchases of the past."""
        if not len(self.bought):
            return np.zeros(len(pairs), dtype=np.bool_)
        places = np.minimum(np.searchsorted(self.bought, pairs), len(self.bought) - 1)
        known: Mask = self.bought[places] == pairs
        return known


def last_windows(interactions: Interactions, days: float, n_windows: int) -> tuple[Split, ...]:
    """Return the splits of the last windows, one behind the other, the earliest first."""
    window = np.timedelta64(round(days * 86_400), "s")
    end = interactions.times[-1] + np.timedelta64(1, "s")
    return tuple(
        Split.at(interactions, end - back * window, days) for back in range(n_windows, 0, -1)
    )
