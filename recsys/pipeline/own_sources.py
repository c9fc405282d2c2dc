"""Sources without a model: what the asker did, what is new, and what has the words of a search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from recsys.arrays import (
    SECONDS_A_DAY,
    Kinds,
    Mask,
    Rows,
    Scores,
    Seconds,
    keys_of,
    owners_of,
    places_within,
    rows_of,
)
from recsys.candidates import Candidates
from recsys.catalog import NEVER
from recsys.context import VIEWS, Contexts
from recsys.eligibility import Eligibility
from recsys.events import EVENT_CODES, EventType
from recsys.habits import habits_with
from recsys.models.words import WordIndex
from recsys.state import HISTORY
from recsys.timelines import Timeline

_ADDED = EVENT_CODES[EventType.ADD_TO_CART]
_CART_STEPS: Kinds = np.array([_ADDED, EVENT_CODES[EventType.REMOVE_FROM_CART]], dtype=np.uint8)

FADING_DAYS = 30.0
"""Age at which a new item counts half: it orders items, and changes none."""

AHEAD_DAYS = 7.0
"""How far ahead a purchase is foreseen."""

SPREAD = 0.7
"""Standard deviation of the logarithm of gaps; among 0.5, 0.7 and 1 the best of those under which
what is due comes before what was bought just now."""

NUDGE = np.float32(0.01)
"""What the most popular item gains over one that nobody buys, where both match a search alike."""


@dataclass(frozen=True, slots=True)
class RecentlyViewed:
    """What the asker looked at, newest first.

    days: how long ago at most; infinity for as long as it is remembered.
    """

    days: float = np.inf

    def retrieve(self, contexts: Contexts, eligible: Eligibility, k: int) -> Candidates:
        """Return the items looked at, each once; nothing for who looked at none."""
        line = contexts.history.take(np.isin(contexts.history.kinds, VIEWS))
        return _newest_first(_within(line, contexts, self.days).newest_of_each(), eligible, k)

    def anchors(self, contexts: Contexts, candidates: Candidates) -> Rows:
        """Return each candidate itself: it is here because it was looked at."""
        return candidates.rows


@dataclass(frozen=True, slots=True)
class Abandoned:
    """What the asker left in the cart: put into it, not taken out, and not bought since.

    What was bought and wholly given back counts as not bought. days: as of `RecentlyViewed`.
    """

    days: float = np.inf

    def retrieve(self, contexts: Contexts, eligible: Eligibility, k: int) -> Candidates:
        """Return the items left in the cart, newest first."""
        line = contexts.history.take(np.isin(contexts.history.kinds, _CART_STEPS))
        last = line.newest_of_each()
        left = last.take((last.kinds == _ADDED) & ~_bought_since(last, contexts.purchases))
        return _newest_first(_within(left, contexts, self.days), eligible, k)

    def anchors(self, contexts: Contexts, candidates: Candidates) -> Rows:
        """Return each candidate itself: it is here because it was put into the cart."""
        return candidates.rows


@dataclass(frozen=True, slots=True)
class Due:
    """What the asker buys regularly, by the chance that they buy it within a week.

    The gaps between purchases are taken to be log-normal, with the usual gap in the middle and a
    spread of `SPREAD`. The chance is that of a
    gap that ends within `AHEAD_DAYS`, given that it has not ended yet: greatest about the day on
    which the item is due, and of short gaps. Habits that are over count no more.
    """

    def retrieve(self, contexts: Contexts, eligible: Eligibility, k: int) -> Candidates:
        """Return the items that the asker has a habit of buying."""
        bought = contexts.purchases
        keys = np.unique(keys_of(bought.owners(), bought.rows))
        queries, rows = owners_of(keys), rows_of(keys)
        habits = habits_with(contexts, queries, rows)
        now = contexts.now[queries]
        elapsed = (now - habits.last).astype(np.float64) / habits.gaps
        kept = habits.lasting(now) & (elapsed > 0) & eligible.allows(queries, rows)
        ahead = AHEAD_DAYS * SECONDS_A_DAY / habits.gaps[kept]
        before, within = (
            ndtr(np.log(gaps) / SPREAD) for gaps in (elapsed[kept], elapsed[kept] + ahead)
        )
        scores = ((within - before) / (1 - before)).astype(np.float32)
        found = Candidates.of(queries[kept], rows[kept], scores)
        return found.best(np.full(len(contexts), k, dtype=np.int32))

    def anchors(self, contexts: Contexts, candidates: Candidates) -> Rows:
        """Return each candidate itself: it is here because it was bought."""
        return candidates.rows


@dataclass(frozen=True, slots=True)
class New:
    """What the shop described last, newest first.

    since: (n_items,) int64 seconds at which each was described first, 0 where unknown or where it
        came with the shop: such items are never new.
    days: how long ago at most.
    """

    since: Seconds
    days: float = np.inf

    def retrieve(self, contexts: Contexts, eligible: Eligibility, k: int) -> Candidates:
        """Return the newest items, the same for all who may see them."""
        seconds = contexts.now.astype(np.int64)
        newest = self._newest(eligible, seconds, k)
        queries = np.repeat(np.arange(len(contexts), dtype=np.int32), len(newest))
        rows = np.tile(newest, len(contexts))
        ages = seconds[queries] - self.since[rows]
        allowed = eligible.allows(queries, rows)
        allowed &= (ages >= 0) & (ages < self.days * SECONDS_A_DAY)
        fresh = (1 / (1 + ages / (FADING_DAYS * SECONDS_A_DAY))).astype(np.float32)
        found = Candidates.of(queries[allowed], rows[allowed], fresh[allowed])
        return found.first(np.full(len(contexts), k, dtype=np.int32))

    def anchors(self, contexts: Contexts, candidates: Candidates) -> Rows:
        """Return -1: no item in particular brought a new one."""
        return np.full(len(candidates), -1, dtype=np.int32)

    def _newest(self, eligible: Eligibility, seconds: Seconds, k: int) -> Rows:
        """Return the newest rows that any query may see, so many that `k` remain for each."""
        first, last = seconds.min(initial=NEVER), seconds.max(initial=0)
        new = (self.since > 0) & (self.since <= last) & eligible.shared
        new &= first - self.since < self.days * SECONDS_A_DAY
        rows = np.flatnonzero(new)
        rows = rows[np.lexsort((rows, -self.since[rows]))]
        n_ahead = int(np.count_nonzero(self.since[rows] > first))
        return rows[: k + eligible.most_excluded() + n_ahead].astype(np.int32)


@dataclass(frozen=True, slots=True)
class Searched:
    """What has the words of the page's search, by how rare those words are.

    words: gives the index over the catalog, made when it is asked for first.
    primaries: (n_items,) int32, the product that each item is; -1 where it is none.
    counts: (n_items,) float32, how much each is bought, which orders those that match alike.
    """

    words: Callable[[], WordIndex]
    primaries: Rows
    counts: Scores

    def retrieve(self, contexts: Contexts, eligible: Eligibility, k: int) -> Candidates:
        """Return the items that match each query's search; nothing for who searched nothing."""
        parts = [
            (query, *self._matching_once(contexts, text))
            for query, asked in enumerate(contexts.queries)
            if (text := asked.scene.search)
        ]
        queries = [np.full(len(rows), query, dtype=np.int32) for query, rows, _ in parts]
        nothing = np.empty(0, dtype=np.int32)
        every = np.concatenate((nothing, *queries)).astype(np.int32)
        rows = np.concatenate((nothing, *(rows for _, rows, _ in parts))).astype(np.int32)
        scores = np.concatenate((nothing, *(scores for *_, scores in parts))).astype(np.float32)
        allowed = eligible.allows(every, rows)
        found = Candidates.of(every[allowed], rows[allowed], scores[allowed])
        return found.best(np.full(len(contexts), k, dtype=np.int32))

    def anchors(self, contexts: Contexts, candidates: Candidates) -> Rows:
        """Return -1: what was searched for is no item."""
        return np.full(len(candidates), -1, dtype=np.int32)

    def _matching_once(self, contexts: Contexts, text: str) -> tuple[Rows, Scores]:
        """Return what matches a text, looked up once for all lists of a page, which share it."""
        return contexts.once(self, f"matching {text}", lambda: self._matching(text))

    def _matching(self, text: str) -> tuple[Rows, Scores]:
        """Return the products, each once, that match a text, and how well."""
        items, scores = self.words().matching(text)
        products = self.primaries[items]
        order = np.lexsort((-scores, products))
        first = np.ones(len(order), dtype=np.bool_)
        first[1:] = np.diff(products[order]) != 0
        best = order[first & (products[order] >= 0)]
        rows = products[best]
        most = max(float(self.counts.max(initial=0.0)), 1e-12)
        return rows, scores[best] * (1 + NUDGE * self.counts[rows] / np.float32(most))


OwnSource = RecentlyViewed | Abandoned | Due | New | Searched


def _newest_first(line: Timeline, eligible: Eligibility, k: int) -> Candidates:
    """Return the rows of a line, newest first, each of which stands in it once."""
    queries = line.owners()
    allowed = eligible.allows(queries, line.rows)
    scores = (1 - places_within(queries) / HISTORY.limit).astype(np.float32)
    found = Candidates.of(queries[allowed], line.rows[allowed], scores[allowed])
    return found.first(np.full(len(line), k, dtype=np.int32))


def _within(line: Timeline, contexts: Contexts, days: float) -> Timeline:
    return line.take(line.ages(contexts.now) < np.float32(days))


def _bought_since(line: Timeline, purchases: Timeline) -> Mask:
    """Return which entries of a line, one a row, were bought at their time or later."""
    bought = purchases.newest_of_each()
    keys = keys_of(bought.owners(), bought.rows)
    order = np.argsort(keys)
    wanted = keys_of(line.owners(), line.rows)
    places = np.minimum(np.searchsorted(keys, wanted, sorter=order), max(len(keys) - 1, 0))
    if not len(keys):
        return np.zeros(len(wanted), dtype=np.bool_)
    last = order[places]
    since: Mask = (keys[last] == wanted) & (bought.times[last] >= line.times)
    return since
