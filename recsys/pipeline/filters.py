"""Filters: what may not be shown, decided before retrieval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsys.arrays import Mask
from recsys.context import Contexts
from recsys.eligibility import Eligibility
from recsys.events import EVENT_CODES, EventType
from recsys.timelines import Ragged, Timeline


@dataclass(frozen=True, slots=True)
class Available:
    """Allows what may be sold in the market asked for, at the time of asking."""

    def narrow(self, contexts: Contexts, eligible: Eligibility) -> Eligibility:
        """Return the eligibility within what is on the shelf."""
        return eligible.within(contexts.shelf.allowed)


@dataclass(frozen=True, slots=True)
class NotSeeds:
    """Refuses the items the list should relate to, and those in the cart: they are at hand."""

    def narrow(self, contexts: Contexts, eligible: Eligibility) -> Eligibility:
        """Return the eligibility without each query's seeds and cart."""
        return eligible.without(contexts.seeds).without(contexts.cart)


@dataclass(frozen=True, slots=True)
class NotHidden:
    """Refuses items that the customer has hidden and not liked since."""

    def narrow(self, contexts: Contexts, eligible: Eligibility) -> Eligibility:
        """Return the eligibility without what each asker has hidden."""
        said = contexts.opinions
        newest = said.take(said.kinds != EVENT_CODES[EventType.RATING]).newest_of_each()
        return eligible.without(_rows(newest, newest.kinds == EVENT_CODES[EventType.HIDE]))


@dataclass(frozen=True, slots=True)
class NotPurchased:
    """Refuses what the customer bought within so many days.

    within_days: days; infinity means ever.
    """

    within_days: float

    def narrow(self, contexts: Contexts, eligible: Eligibility) -> Eligibility:
        """Return the eligibility without each asker's own recent purchases."""
        line = contexts.purchases
        return eligible.without(_rows(line, line.ages(contexts.now) < np.float32(self.within_days)))


def _rows(line: Timeline, chosen: Mask) -> Ragged:
    return Ragged.of_pairs(line.owners()[chosen], line.rows[chosen], len(line))
