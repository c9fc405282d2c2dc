"""Trends: what is wanted more than usual of late, and what is wanted there anyway, by market.

Two memories of the same deeds are kept, one of hours and one of days, each an exponentially decayed
sum: they can be added up, and grow old together by one multiplication (Cormode, Shkapenyuk,
Srivastava, Xu 2009, Forward decay: a practical time decay model for streaming systems).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import Keys, Mask, Rows, Scores, frozen, keys_of, owners_of, rows_of
from recsys.events import EventType

DEEDS: Mapping[EventType, int] = MappingProxyType(
    {
        EventType.CLICK: 1,
        EventType.DETAIL_VIEW: 1,
        EventType.LIKE: 2,
        EventType.ADD_TO_WISHLIST: 2,
        EventType.ADD_TO_CART: 3,
        EventType.PURCHASE: 5,
    }
)
"""What counts, and how much: of what one asker does with one item on one day, the strongest."""

EVERYWHERE = ""
"""The market of who names none: all of them together."""

PRIOR = 10.0
"""What is believed of every item before it is counted: ten views as usual, ten of late."""

PRIOR_LEVEL = 20.0
"""The same of a whole market: that it is as busy as usual."""

LEAST_SURPRISE = 4.5
"""Below this a rise may be chance: half the square of three standard deviations."""

LEAST_EVIDENCE = 200.0
"""What a market has to have seen, in views, before it is told apart from all others."""

Amounts = NDArray[np.float64]
"""Sums of deeds, in views."""


@dataclass(frozen=True, slots=True)
class Memory:
    """How soon deeds are forgotten: the half-lives of what is recent and of what is usual."""

    recent_hours: float = 6.0
    usual_hours: float = 168.0

    @property
    def share(self) -> float:
        """Share of the usual sum that the recent one has where nothing changes."""
        return self.recent_hours / self.usual_hours

    def kept(self, hours: NDArray[np.float64]) -> tuple[Amounts, Amounts]:
        """Return what is left of a deed so many hours ago, in the recent and the usual sum."""
        return 0.5 ** (hours / self.recent_hours), 0.5 ** (hours / self.usual_hours)


@dataclass(frozen=True, slots=True)
class Activity:
    """How much items are wanted, by market.

    keys: (n,) int64, ascending: place of the market and row of the item, as `keys_of` has them.
    recent, usual: (n,) float64, >= 0, the two sums of the deeds.
    """

    keys: Keys
    recent: Amounts
    usual: Amounts

    def __post_init__(self) -> None:
        if not self.keys.shape == self.recent.shape == self.usual.shape:
            shapes = self.keys.shape, self.recent.shape, self.usual.shape
            raise ValueError(f"columns of {shapes} entries")

    def __len__(self) -> int:
        return len(self.keys)

    @classmethod
    def none(cls) -> Self:
        """Return the activity where nothing happened."""
        return cls(np.empty(0, np.int64), np.empty(0), np.empty(0))

    @classmethod
    def summed(cls, keys: Keys, recent: Amounts, usual: Amounts) -> Self:
        """Return the activity of (n,) contributions, in any order."""
        found, places = np.unique(keys, return_inverse=True)
        n = len(found)
        sums = [np.bincount(places, one, n).astype(np.float64) for one in (recent, usual)]
        return cls(found, *sums)

    def joined(self, other: Self) -> Self:
        """Return both together."""
        return self.summed(
            np.concatenate((self.keys, other.keys)),
            np.concatenate((self.recent, other.recent)),
            np.concatenate((self.usual, other.usual)),
        )

    def later(self, hours: float, memory: Memory) -> Self:
        """Return what is left of it so many hours later."""
        recent, usual = memory.kept(np.array([hours]))
        return replace(self, recent=self.recent * recent, usual=self.usual * usual)

    def rolled_up(self, primaries: Rows) -> Self:
        """Return it by products: what was done with a variant counts for its primary.

        primaries: (n_items,) row of each item's primary; items without one, or beyond, are left
        out.
        """
        rows = rows_of(self.keys)
        known = rows < len(primaries)
        products = primaries[rows[known]]
        if known.all() and np.array_equal(products, rows):
            return self
        some: Mask = products >= 0
        keys = keys_of(owners_of(self.keys)[known], products)[some]
        return self.summed(keys, self.recent[known][some], self.usual[known][some])

    def of_market(self, place: int) -> Self:
        """Return the activity in one market, under keys that are rows."""
        start, stop = np.searchsorted(self.keys, (place << 32, (place + 1) << 32))
        own = slice(int(start), int(stop))
        rows = rows_of(self.keys[own]).astype(np.int64)
        return type(self)(rows, self.recent[own], self.usual[own])

    def everywhere(self) -> Self:
        """Return the activity in all markets together, under keys that are rows."""
        return self.summed(rows_of(self.keys).astype(np.int64), self.recent, self.usual)


@dataclass(frozen=True, slots=True)
class Ranked:
    """Items best first. rows: (n,) int32, each once. scores: (n,) float32, > 0, descending."""

    rows: Rows
    scores: Scores

    @classmethod
    def of(cls, rows: Keys, scores: Amounts) -> Self:
        """Return the items with scores above 0, in their order; ties go to the lower row."""
        some = scores > 0
        rows, scores = rows[some], scores[some]
        order = np.lexsort((rows, -scores))
        return cls(frozen(rows[order].astype(np.int32)), frozen(scores[order].astype(np.float32)))


@dataclass(frozen=True, slots=True, eq=False)
class Trends:
    """What is wanted, by market; it names nobody.

    A market of which too little is known is taken for all of them together. In replay there are
    none: what was wanted at an hour of the past is not looked up, and nothing is proposed for it.

    markets: those of which enough is known, by their place in the keys of `activity`.
    share: as `Memory.share`. made: a memory of rankings, which changes no answer.
    """

    markets: Mapping[str, int]
    activity: Activity
    share: float
    made: dict[tuple[str, str], Ranked] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, names: Sequence[str], activity: Activity, share: float) -> Self:
        """Return the trends of an activity in the markets of these names, in their places."""
        seen = np.bincount(owners_of(activity.keys), activity.usual, len(names))
        named = zip(names, seen.tolist(), range(len(names)), strict=True)
        told = {name: place for name, usual, place in named if usual >= LEAST_EVIDENCE}
        return cls({name: told[name] for name in told if name != EVERYWHERE}, activity, share)

    @classmethod
    def none(cls) -> Self:
        """Return the trends where nothing is counted."""
        return cls({}, Activity.none(), Memory().share)

    def tells_of(self, market: str) -> bool:
        """Return whether enough is known of a market to tell it apart from all others."""
        return market in self.markets

    def trending(self, market: str) -> Ranked:
        """Return the items that are wanted more than usual in a market, as `surprise` has it."""
        return self._ranked("trending", market)

    def popular(self, market: str) -> Ranked:
        """Return the items that are wanted most in a market, by their usual sums.

        To each is added its share of `LEAST_EVIDENCE` deeds of all markets: a Dirichlet prior
        (Zhai, Lafferty 2004, A study of smoothing methods for language models).
        """
        return self._ranked("popular", market)

    def rolled_up(self, primaries: Rows) -> Self:
        """Return the trends of products; `Activity.rolled_up` says how."""
        return type(self)(self.markets, self.activity.rolled_up(primaries), self.share)

    def prepare(self, before: Self) -> None:
        """Make the rankings that one before was asked for, so that nobody waits for them."""
        for what, market in list(before.made):
            self._ranked(what, market)

    def _ranked(self, what: str, market: str) -> Ranked:
        key = what, market if market in self.markets else EVERYWHERE
        if key not in self.made:
            make = self._trending if what == "trending" else self._popular
            self.made[key] = make(key[1])
        return self.made[key]

    def _trending(self, market: str) -> Ranked:
        own = self._of(market)
        return Ranked.of(own.keys, surprise(own.recent, own.usual, self.share))

    def _popular(self, market: str) -> Ranked:
        own, spread = self._of(market), self._of(EVERYWHERE)
        if market != EVERYWHERE and len(spread):
            scale = LEAST_EVIDENCE / spread.usual.sum()
            own = own.joined(replace(spread, usual=spread.usual * scale))
        return Ranked.of(own.keys, own.usual)

    def _of(self, market: str) -> Activity:
        """Return the activity in a market, or in all together, under keys that are rows."""
        if market == EVERYWHERE:
            return self.activity.everywhere()
        return self.activity.of_market(self.markets[market])


NO_TRENDS = Trends.none()
"""What is known where nothing is counted."""


def surprise(recent: Amounts, usual: Amounts, share: float) -> Amounts:
    """Return (n,) how much more items are wanted than usual; 0 where that may be chance.

    Of each item so much is expected of late as its usual share of what is done in the market,
    which may be busier than usual as a whole. What was expected and what came are both shrunk by
    `PRIOR`, as under a gamma prior on their ratio (DuMouchel 1999, Bayesian data mining in large
    frequency tables), and the score is the log-likelihood ratio of a Poisson count (Dunning 1993,
    Accurate methods for the statistics of surprise and coincidence): it grows with the ratio and
    with the volume, so that three views of a rare item are no wave.
    """
    level = (recent.sum() + PRIOR_LEVEL) / (share * usual.sum() + PRIOR_LEVEL)
    expected = share * usual * level
    came, awaited = recent + PRIOR, expected + PRIOR
    found: Amounts = came * np.log(came / awaited) - (came - awaited)
    return np.where((came > awaited) & (found >= LEAST_SURPRISE), found, 0.0)
