"""Habits: how often, and how much at a time, a customer buys an item again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import (
    SECONDS_A_DAY,
    Keys,
    Mask,
    Rows,
    Scores,
    Seconds,
    Times,
    keys_of,
)
from recsys.context import Contexts
from recsys.timelines import Timeline

LEAST_DAYS = 3
"""Days on which an item was bought, from which on there is a habit: two gaps tell more than one."""

MOST_LATE = 3
"""Usual gaps after the last purchase, after which the habit is over."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Habits:
    """What (n,) pairs of customer and item tell.

    n_times: (n,) int32 purchases remembered. last: (n,) datetime64[s], of the last of them.
    gaps: (n,) float64, usual seconds between days of buying; NaN where there is no habit.
    quantities: (n,) float64, usual pieces on such a day; 0 where there is no habit.
    """

    n_times: Rows
    last: Times
    gaps: Numbers
    quantities: Numbers

    @classmethod
    def none(cls, n: int) -> Self:
        """Return what `n` pairs tell in which nothing was bought."""
        return cls(
            np.zeros(n, dtype=np.int32),
            np.zeros(n, dtype="datetime64[s]"),
            np.full(n, np.nan),
            np.zeros(n),
        )

    def due(self) -> Times:
        """Return the (n,) datetime64[s] at which the next purchase is due, NaT without a habit."""
        steady = ~np.isnan(self.gaps)
        due = np.full(len(self.gaps), "NaT", dtype="datetime64[s]")
        due[steady] = self.last[steady] + np.rint(self.gaps[steady]).astype("timedelta64[s]")
        return due

    def lasting(self, now: Times) -> Mask:
        """Return which habits are not over at (n,) instants."""
        return self._since_last(now) < MOST_LATE * self.gaps

    def near(self, now: Times) -> Mask:
        """Return which purchases are nearer to their due date than to the last, at (n,) instants.

        Not those of habits that are over.
        """
        return (self._since_last(now) > self.gaps / 2) & self.lasting(now)

    def _since_last(self, now: Times) -> Numbers:
        seconds: Numbers = (now - self.last).astype(np.float64)
        return seconds


def habits_with(contexts: Contexts, queries: Rows, rows: Rows) -> Habits:
    """Return the habits of these (n,) pairs of query and row, found once for a page."""
    pairs, every = contexts.once(habits_with, "habits", lambda: _every(contexts.purchases))
    return _looked_up(pairs, every, keys_of(queries, rows))


def habits_of(purchases: Timeline, queries: Rows, rows: Rows) -> Habits:
    """Return the habits of these (n,) pairs of query and row.

    The usual gap and the usual quantity are medians, over the days on which the item was bought.
    """
    return _looked_up(*_every(purchases), keys_of(queries, rows))


def _looked_up(pairs: Keys, every: Habits, wanted: Keys) -> Habits:
    """Return the habits of these (n,) pairs, of those that ascend; none where it is not there."""
    habits = Habits.none(len(wanted))
    if not len(pairs):
        return habits
    found = np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)
    bought = np.flatnonzero(pairs[found] == wanted)
    for name in ("n_times", "last", "gaps", "quantities"):
        getattr(habits, name)[bought] = getattr(every, name)[found[bought]]
    return habits


def _every(purchases: Timeline) -> tuple[Keys, Habits]:
    """Return all pairs of customer and item bought, ascending, and their habits."""
    keys, seconds = keys_of(purchases.owners(), purchases.rows), purchases.times.astype(np.int64)
    order = np.lexsort((seconds, keys))
    keys, seconds = keys[order], seconds[order]
    newest = np.ones(len(keys), dtype=np.bool_)
    newest[:-1] = keys[1:] != keys[:-1]
    pairs, ends = keys[newest], np.flatnonzero(newest)
    n_times = np.diff(ends, prepend=-1).astype(np.int32)
    usual = _usual(pairs, keys, seconds, purchases.quantities[order])
    return pairs, Habits(n_times, seconds[ends].astype("datetime64[s]"), *usual)


def _usual(pairs: Keys, keys: Keys, seconds: Seconds, pieces: Scores) -> tuple[Numbers, Numbers]:
    """Return the usual gap and quantity of each pair, ascending.

    keys, seconds, pieces: (n,) of purchases, in order of pair and time.
    """
    days = seconds // int(SECONDS_A_DAY)
    first = np.ones(len(keys), dtype=np.bool_)
    first[1:] = (keys[1:] != keys[:-1]) | (days[1:] != days[:-1])
    starts = np.flatnonzero(first)
    places = np.searchsorted(pairs, keys[starts])
    steady = np.bincount(places, minlength=len(pairs)) >= LEAST_DAYS
    gaps, quantities = np.full(len(pairs), np.nan), np.zeros(len(pairs))
    if steady.any():
        sums = np.add.reduceat(pieces, starts).astype(np.float64)
        some = steady[places]
        keys, seconds, sums = keys[starts][some], seconds[starts][some], sums[some]
        same = keys[1:] == keys[:-1]
        between = np.diff(seconds)[same].astype(np.float64)
        gaps[steady] = _medians(pairs[steady], keys[1:][same], between)
        quantities[steady] = _medians(pairs[steady], keys, sums)
    return gaps, quantities


def _medians(wanted: Keys, keys: Keys, values: Numbers) -> Numbers:
    """Return the median of the values of each wanted key; NaN where it has none."""
    order = np.lexsort((values, keys))
    starts = np.searchsorted(keys, wanted)
    counts = np.searchsorted(keys, wanted, side="right") - starts
    found = np.full(len(wanted), np.nan)
    some = counts > 0
    ordered = values[order]
    low, high = starts + np.maximum(counts - 1, 0) // 2, starts + counts // 2
    found[some] = (ordered[low[some]] + ordered[high[some]]) / 2
    return found
