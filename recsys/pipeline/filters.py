"""Filters: what may not be shown, decided before retrieval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsys.arrays import Mask, Rows
from recsys.context import VIEWS, Contexts
from recsys.eligibility import Eligibility
from recsys.state import MAILED, SHOWN
from recsys.timelines import Ragged, Timeline, Weighted


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
class NotAbout:
    """Refuses the items of the asker that the list is about: it says so of them, and no more."""

    def narrow(self, contexts: Contexts, eligible: Eligibility) -> Eligibility:
        """Return the eligibility without what each list is about."""
        return eligible.without(contexts.related) if contexts.about.of_the_asker else eligible


@dataclass(frozen=True, slots=True)
class Among:
    """Allows some items alone: those that a request is to be answered from.

    rows: (n,) int32 of products.
    """

    rows: Rows

    def narrow(self, contexts: Contexts, eligible: Eligibility) -> Eligibility:
        """Return the eligibility within these items."""
        mask = np.zeros(len(eligible.shared), dtype=np.bool_)
        mask[self.rows] = True
        return eligible.within(mask)


@dataclass(frozen=True, slots=True)
class NotHidden:
    """Refuses items that the customer has hidden and not liked since."""

    def narrow(self, contexts: Contexts, eligible: Eligibility) -> Eligibility:
        """Return the eligibility without what each asker has hidden."""
        return eligible.without(contexts.hidden())


@dataclass(frozen=True, slots=True)
class NotPurchased:
    """Refuses what the customer bought within so many days.

    within_days: days; infinity means ever.
    """

    within_days: float

    def narrow(self, contexts: Contexts, eligible: Eligibility) -> Eligibility:
        """Return the eligibility without each asker's own recent purchases."""
        line = contexts.purchases
        return eligible.without(_rows(line, _within(line, contexts, self.within_days)))


@dataclass(frozen=True, slots=True)
class NotViewed:
    """Refuses what the customer clicked or looked at within so many days.

    within_days: days; infinity means as long as it is remembered.
    """

    within_days: float

    def narrow(self, contexts: Contexts, eligible: Eligibility) -> Eligibility:
        """Return the eligibility without what each asker viewed lately."""
        line = contexts.history.take(np.isin(contexts.history.kinds, VIEWS))
        return eligible.without(_rows(line, _within(line, contexts, self.within_days)))


@dataclass(frozen=True, slots=True)
class NotShown:
    """Refuses what the customer saw in lists within so many days, so many times.

    within_days: days; infinity means as long as it is remembered. times: from which on it leaves.
    """

    within_days: float
    times: int = 1

    def narrow(self, contexts: Contexts, eligible: Eligibility) -> Eligibility:
        """Return the eligibility without what each asker was shown lately, often enough."""
        line = contexts.lines.of(SHOWN)
        line = line.take(_within(line, contexts, self.within_days))
        once = np.ones(len(line.rows), dtype=np.float32)
        seen = Weighted.summed(line.owners(), line.rows, once, len(line))
        often = seen.weights >= self.times
        return eligible.without(Ragged.of_pairs(seen.owners()[often], seen.rows[often], len(line)))


@dataclass(frozen=True, slots=True)
class NotMailed:
    """Refuses what stood in an e-mail that was sent to the customer, or that they opened or clicked

    within so many days. within_days: infinity means as long as it is remembered.
    """

    within_days: float

    def narrow(self, contexts: Contexts, eligible: Eligibility) -> Eligibility:
        """Return the eligibility without what e-mails showed each asker lately."""
        line = contexts.lines.of(MAILED)
        return eligible.without(_rows(line, _within(line, contexts, self.within_days)))


def _within(line: Timeline, contexts: Contexts, days: float) -> Mask:
    recent: Mask = line.ages(contexts.now) < np.float32(days)
    return recent


def _rows(line: Timeline, chosen: Mask) -> Ragged:
    return Ragged.of_pairs(line.owners()[chosen], line.rows[chosen], len(line))
