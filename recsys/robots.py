"""Robots: who said so of themselves, or went faster and longer than anybody can.

Nothing is deleted and nobody is marked: the rule is asked whenever events are read for training
or counting, so another limit, or none, gives other answers from the same lake.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import Kinds, Mask, Rows, Times
from recsys.events import EVENT_CODES, EVENT_TYPES, EventType

BROWSING = frozenset(
    {
        EventType.CLICK,
        EventType.DETAIL_VIEW,
        EventType.ADD_TO_CART,
        EventType.REMOVE_FROM_CART,
        EventType.CATEGORY_VIEW,
        EventType.SEARCH,
        EventType.CART_VIEW,
        EventType.ADD_TO_WISHLIST,
        EventType.REMOVE_FROM_WISHLIST,
    }
)
"""What is done by hand, one at a time; a page shows many items, and an order has many lines."""

_BROWSING = np.array([kind in BROWSING for kind in EVENT_TYPES])
_PURCHASE = EVENT_CODES[EventType.PURCHASE]
_MINUTE = np.timedelta64(60, "s")
_DAY = np.timedelta64(86_400, "s")


@dataclass(frozen=True, slots=True)
class RobotRule:
    """Who is a robot. Limits are of browsing events (`BROWSING`); 0 means no such limit.

    a_minute: most within any minute. a_day: most within any 24 hours. buyer_factor: both limits
    are so many times higher for who ever bought anything.

    The defaults come from no data set. Wikimedia takes readers for automated at 30 pages a
    minute, kept up, and at 800 pages in 24 hours (analytics-refinery,
    compute_webrequest_actor_label_hourly.hql). One page of a shop is up to two events here, the
    click that led to it and the view, so the limits are twice that. Robots seldom buy (crawlers,
    scrapers of prices and probes of uptime never do), while the most devoted customers, resellers
    among them, both browse and buy: to drop one of those costs more than to keep a robot, which
    is why a purchase asks for four times the evidence. Lists of User-Agents (IAB/ABC, which
    Google Analytics and Adobe Analytics go by) find the robots that say what they are; that is
    decided at intake, and counts here as `declared`.
    """

    a_minute: int = 60
    a_day: int = 1_600
    buyer_factor: float = 4.0

    @classmethod
    def none(cls) -> Self:
        """Return the rule without limits; who says to be a robot is one all the same."""
        return cls(0, 0)

    @property
    def least(self) -> int:
        """How many browsing events anybody may have, whenever they were."""
        return min((most for most in (self.a_minute, self.a_day) if most), default=sys.maxsize)

    def robots(
        self, users: Rows, times: Times, *, kinds: Kinds, declared: Mask, n_users: int
    ) -> Mask:
        """Return (n_users,) who is a robot: most events are declared, or a limit is passed.

        users: (n,) 0 to n_users - 1. times: (n,) datetime64[s], in any order.
        declared: (n,) whether the event's sender called itself a robot. Single events of this
        kind make nobody a robot: scanners of e-mail follow the links that people are sent.
        """
        found: Mask = 2 * np.bincount(users[declared], minlength=n_users) > np.bincount(
            users, minlength=n_users
        )
        by_hand = _BROWSING[kinds] & ~declared
        bought = np.bincount(users[(kinds == _PURCHASE) & ~declared], minlength=n_users) > 0
        for buying, factor in ((False, 1.0), (True, self.buyer_factor)):
            chosen = by_hand & (bought[users] == buying)
            order = np.lexsort((times[chosen], users[chosen]))
            steps = users[chosen][order], times[chosen][order]
            found[_hurried(*steps, most=round(self.a_minute * factor), within=_MINUTE)] = True
            found[_hurried(*steps, most=round(self.a_day * factor), within=_DAY)] = True
        return found


def _hurried(users: Rows, times: Times, *, most: int, within: np.timedelta64) -> Rows:
    """Return the users with more than `most` events in some span shorter than `within`.

    Events are in order of user and time. A span in which the clock stands still does not count:
    times without seconds, or without an hour, say nothing of haste.
    """
    if not most or len(users) <= most:
        return users[:0]
    spans: NDArray[np.timedelta64] = times[most:] - times[:-most]
    hurried: Rows = users[most:][
        (users[most:] == users[:-most]) & (spans > np.timedelta64(0, "s")) & (spans < within)
    ]
    return hurried
