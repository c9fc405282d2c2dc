"""The tally: deeds counted once for each asker, item and day, in whatever order they come.

Of the last days each asker's deeds are told apart; of the days before only sums are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import Mask, Rows, keys_of
from recsys.models.trends import Activity, Memory, Trends

HOURS_A_DAY = 24

Pairs = NDArray[np.uint64]
"""(n,) hashes of an asker, an item and a day; they name nobody and are kept nowhere."""


@dataclass(frozen=True, slots=True)
class Deeds:
    """What askers did with items, each with one item on one day: the strongest, in its market.

    names: of markets. pairs: (n,) ascending, each once. markets: (n,) places in `names`.
    rows: (n,) int32 items. days: (n,) int32 since 1970.
    best: (n,) int32, `weight * 24 + hour`: of the strongest the latest hour of the day.
    """

    names: Sequence[str]
    pairs: Pairs
    markets: Rows
    rows: Rows
    days: Rows
    best: Rows

    @classmethod
    def none(cls) -> Self:
        """Return the deeds of nobody."""
        nothing = np.empty(0, np.int32)
        return cls((), np.empty(0, np.uint64), nothing, nothing, nothing, nothing)

    def __len__(self) -> int:
        return len(self.pairs)

    def take(self, chosen: Mask | NDArray[np.int64]) -> Self:
        """Return the chosen deeds: where a (n,) mask is true, or at (m,) places."""
        return replace(
            self,
            pairs=self.pairs[chosen],
            markets=self.markets[chosen],
            rows=self.rows[chosen],
            days=self.days[chosen],
            best=self.best[chosen],
        )

    def joined(self, other: Self) -> Self:
        """Return both together: of what is in both, the better; of equals the market named last.

        Laws: what is joined twice is joined once, and the order makes no difference but to the
        order of the names.
        """
        if not len(other):
            return self
        names = tuple(dict.fromkeys((*self.names, *other.names)))
        other = replace(other, names=names, markets=placed(other.names, names)[other.markets])
        places = np.searchsorted(self.pairs, other.pairs)
        known = np.zeros(len(other), dtype=np.bool_)
        within = places < len(self)
        known[within] = self.pairs[places[within]] == other.pairs[within]
        grown = replace(self, names=names).bettered(other.take(known), places[known])
        return grown.inserted(other.take(~known), places[~known])

    def bettered(self, others: Self, places: NDArray[np.int64]) -> Self:
        """Return the deeds with others in place of those at these (m,) places, if they are better.

        Both under the same names of markets.
        """
        ranks = placed(self.names, sorted(self.names))
        new, old = (
            deeds.best.astype(np.int64) * len(ranks) + ranks[deeds.markets]
            for deeds in (others, self.take(places))
        )
        better = new > old
        best, markets = self.best.copy(), self.markets.copy()
        best[places[better]] = others.best[better]
        markets[places[better]] = others.markets[better]
        return replace(self, best=best, markets=markets)

    def inserted(self, new: Self, places: NDArray[np.int64]) -> Self:
        """Return the deeds with new ones before those at these (m,) places."""
        return replace(
            self,
            pairs=np.insert(self.pairs, places, new.pairs),
            markets=np.insert(self.markets, places, new.markets),
            rows=np.insert(self.rows, places, new.rows),
            days=np.insert(self.days, places, new.days),
            best=np.insert(self.best, places, new.best),
        )

    @property
    def weights(self) -> NDArray[np.float64]:
        """(n,) what each counts, in views."""
        return (self.best // HOURS_A_DAY).astype(np.float64)

    @property
    def hours(self) -> NDArray[np.float64]:
        """(n,) when each was, in whole hours since 1970."""
        return (self.days * HOURS_A_DAY + self.best % HOURS_A_DAY).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Sums:
    """Deeds of days that are over, summed over askers.

    names: of markets. markets: (n,) places in `names`. rows: (n,) int32 items.
    days: (n,) int32 since 1970. weights: (n,) float64, in views.
    """

    names: Sequence[str]
    markets: Rows
    rows: Rows
    days: Rows
    weights: NDArray[np.float64]

    def activity(self, hour: float, memory: Memory) -> Activity:
        """Return what is left at an hour since 1970; a day counts as its noon."""
        noons = self.days * float(HOURS_A_DAY) + HOURS_A_DAY / 2
        recent, usual = memory.kept(np.maximum(hour - noons, 0.0))
        keys = keys_of(self.markets, self.rows)
        return Activity.summed(keys, self.weights * recent, self.weights * usual)


@dataclass(frozen=True, slots=True)
class Tally:
    """All that is counted.

    first_open: the day since 1970 from which on deeds are told apart.
    past: activity of the days before, at the hour `past_at` since 1970, under the places of
    `past_names`.
    """

    first_open: int
    past_names: Sequence[str]
    past: Activity
    past_at: float
    deeds: Deeds

    @classmethod
    def of(cls, first_open: int, sums: Sums, deeds: Deeds, *, hour: float, memory: Memory) -> Self:
        """Return the tally of sums of days before one, and of deeds since."""
        return cls(first_open, sums.names, sums.activity(hour, memory), hour, deeds)

    def joined(self, deeds: Deeds) -> Self:
        """Return the tally with more deeds, all of days that are open."""
        return replace(self, deeds=self.deeds.joined(deeds))

    def trends(self, hour: float, memory: Memory) -> tuple[Sequence[str], Activity]:
        """Return the markets, and the activity in them, at an hour since 1970.

        What is said to have happened behind that hour does not count yet.
        """
        names = tuple(dict.fromkeys((*self.past_names, *self.deeds.names)))
        deeds = self.deeds.take(self.deeds.hours <= hour)
        recent, usual = memory.kept(hour - deeds.hours)
        keys = keys_of(placed(deeds.names, names)[deeds.markets], deeds.rows)
        past = self.past.later(hour - self.past_at, memory)  # its places come first among names
        weights = deeds.weights
        return names, past.joined(Activity(keys, weights * recent, weights * usual))


def trends_of(tally: Tally, hour: float, memory: Memory) -> Trends:
    """Return the trends at an hour since 1970, by item."""
    return Trends.of(*tally.trends(hour, memory), memory.share)


def placed(names: Sequence[str], among: Sequence[str]) -> Rows:
    """Return the (n,) place of each name among others."""
    known = {name: place for place, name in enumerate(among)}
    return np.array([known[name] for name in names], dtype=np.int32)
