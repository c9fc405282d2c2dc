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
    owners_of,
    rows_of,
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
    keys, every = contexts.once(habits_with, "habits", lambda: _every(contexts.purchases))
    wanted = keys_of(queries, rows)
    found = np.searchsorted(keys, wanted)
    found[found == len(keys)] = 0
    bought = np.flatnonzero(keys[found] == wanted) if len(keys) else found[:0]
    habits = Habits.none(len(rows))
    for name in ("n_times", "last", "gaps", "quantities"):
        getattr(habits, name)[bought] = getattr(every, name)[found[bought]]
    return habits


def _every(purchases: Timeline) -> tuple[Keys, Habits]:
    """Return all pairs of customer and item bought, ascending, and their habits."""
    keys = np.unique(keys_of(purchases.owners(), purchases.rows))
    return keys, habits_of(purchases, owners_of(keys), rows_of(keys))


def habits_of(purchases: Timeline, queries: Rows, rows: Rows) -> Habits:
    """Return the habits of these (n,) pairs of query and row.

    The usual gap and the usual quantity are medians, over the days on which the item was bought.
    """
    wanted, places = np.unique(keys_of(queries, rows), return_inverse=True)
    bought = keys_of(purchases.owners(), purchases.rows)
    own = np.flatnonzero(np.isin(bought, wanted))
    keys, seconds = bought[own], purchases.times[own].astype(np.int64)
    n_times = np.bincount(np.searchsorted(wanted, keys), minlength=len(wanted))
    last = np.zeros(len(wanted), dtype=np.int64)
    np.maximum.at(last, np.searchsorted(wanted, keys), seconds)
    gaps, quantities = _usual(wanted, keys, seconds, purchases.quantities[own])
    return Habits(
        n_times.astype(np.int32)[places],
        last.astype("datetime64[s]")[places],
        gaps[places],
        quantities[places],
    )


def _usual(wanted: Keys, keys: Keys, seconds: Seconds, pieces: Scores) -> tuple[Numbers, Numbers]:
    """Return the usual gap and quantity of each of the wanted keys, ascending."""
    days = seconds // int(SECONDS_A_DAY)
    order = np.lexsort((seconds, keys))
    keys, days, seconds, pieces = keys[order], days[order], seconds[order], pieces[order]
    first = np.ones(len(keys), dtype=np.bool_)
    first[1:] = (keys[1:] != keys[:-1]) | (days[1:] != days[:-1])
    starts = np.flatnonzero(first)
    sums = np.add.reduceat(pieces, starts).astype(np.float64) if len(starts) else np.empty(0)
    keys, seconds = keys[starts], seconds[starts]
    same = keys[1:] == keys[:-1]
    gaps = _medians(wanted, keys[1:][same], np.diff(seconds)[same].astype(np.float64))
    n_days = np.bincount(np.searchsorted(wanted, keys), minlength=len(wanted))
    steady = n_days >= LEAST_DAYS
    quantities = _medians(wanted, keys, sums)
    return np.where(steady, gaps, np.nan), np.where(steady, quantities, 0.0)


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
