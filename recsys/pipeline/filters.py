"""Filters: what may not be shown, decided before retrieval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsys.arrays import Mask
from recsys.context import Contexts
from recsys.eligibility import Eligibility
from recsys.events import EVENT_CODES, EventType
from recsys.state import MAILED, SHOWN
from recsys.timelines import Ragged, Timeline, Weighted

_VIEWS = np.array([EVENT_CODES[EventType.DETAIL_VIEW], EVENT_CODES[EventType.CLICK]], np.uint8)


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
        return eligible.without(_rows(line, _within(line, contexts, self.within_days)))


@dataclass(frozen=True, slots=True)
class NotViewed:
    """Refuses what the customer clicked or looked at within so many days.

    within_days: days; infinity means as long as it is remembered.
    """

    within_days: float

    def narrow(self, contexts: Contexts, eligible: Eligibility) -> Eligibility:
        """Return the eligibility without what each asker viewed lately."""
        line = contexts.history.take(np.isin(contexts.history.kinds, _VIEWS))
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
