"""Adjusters: scores changed for other reasons than relevance.

Each candidate's score is multiplied by e to an amount: what is hardly relevant stays so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import Keys, Kinds, Rows, Scores, keys_of, looked_up
from recsys.candidates import Candidates
from recsys.context import Contexts
from recsys.events import EVENT_CODES, EventType
from recsys.item_values import AssortmentValues, ShelfValues
from recsys.pairs import Numbers
from recsys.state import SHOWN
from recsys.timelines import Weighted

ANSWERS = (
    EventType.CLICK,
    EventType.DETAIL_VIEW,
    EventType.ADD_TO_CART,
    EventType.ADD_TO_WISHLIST,
)
"""What a customer does, beside buying, with an item they were shown and care for."""

_ANSWERS: Kinds = np.array([EVENT_CODES[kind] for kind in ANSWERS], dtype=np.uint8)
_LEAST = 1e-3
"""What a rate of 1 leaves of a score each time, so that the order among those shown stays."""
_MOST = 60.0


@dataclass(frozen=True, slots=True)
class Rotation:
    """Lets what was shown lately, and neither looked at nor bought since, step back.

    rate: share of its score that an item loses each time it was shown; where a query wishes for
    no other. days: how long a showing counts.
    """

    rate: float
    days: float

    def adjust(self, contexts: Contexts, candidates: Candidates) -> Scores:
        """Return the scores, less for items that were shown in vain."""
        rates = contexts.asked(lambda wished: wished.rotation_rate, self.rate)
        if not rates.any():
            return candidates.scores
        vain = contexts.once(
            contexts.lines, f"shown in vain for {self.days} days", lambda: self._vain(contexts)
        )
        if not len(vain.rows):
            return candidates.scores
        pairs = keys_of(vain.owners(), vain.rows)
        times = looked_up(pairs, vain.weights, keys_of(candidates.queries, candidates.rows))
        steps = np.log(np.maximum(1 - rates, _LEAST))
        return lifted(candidates.scores, times * steps[candidates.queries])

    def _vain(self, contexts: Contexts) -> Weighted:
        """Return how often each asker was shown each item since they last cared for it."""
        line = contexts.lines.of(SHOWN)
        line = line.take(line.ages(contexts.now) < np.float32(self.days))
        queries = line.owners()
        seconds = line.times.astype(np.int64)
        since = looked_up(*_cared(contexts), keys_of(queries, line.rows))
        vain = seconds > since
        once = np.ones(int(vain.sum()), dtype=np.float32)
        return Weighted.summed(queries[vain], line.rows[vain], once, len(line))


@dataclass(frozen=True, slots=True)
class Objectives:
    """Lifts items for what the shop gains by them: any numeric fields of theirs.

    weights: by field; the candidate with the most of it is lifted by e^weight, that with the least
    by e^-weight, those between by their place, and one of which it is not known not at all. A field
    that no item has lifts none. values: of the items as they are shown.
    """

    weights: Mapping[str, float]
    values: AssortmentValues

    def adjust(self, contexts: Contexts, candidates: Candidates) -> Scores:
        """Return the scores, lifted for all objectives together."""
        asked = contexts.queries[0]  # all are on one shelf
        shown = self.values.of(asked.market, int(asked.now.timestamp()))
        amounts = np.zeros(len(candidates), dtype=np.float32)
        for name, weight in self.weights.items():
            numbers = _numbers(shown, name)
            if numbers is not None:
                amounts += np.float32(weight) * standing(
                    candidates.queries, numbers[candidates.rows]
                )
        return lifted(candidates.scores, amounts)


def lifted(scores: Scores, amounts: NDArray[np.floating]) -> Scores:
    """Return (n,) scores times e^amount, negative ones divided by it: more is always higher."""
    bounded = np.clip(np.where(scores < 0, -amounts, amounts), -_MOST, _MOST)
    found: Scores = (scores * np.exp(bounded)).astype(np.float32)
    return found


def standing(queries: Rows, numbers: Numbers) -> Scores:
    """Return where each (n,) number stands among those of its query, -1 (least) to 1 (most).

    Equal numbers stand alike; an unknown (NaN) or only one stands at 0, the middle.
    """
    known = np.flatnonzero(~np.isnan(numbers))
    order = known[np.lexsort((numbers[known], queries[known]))]
    sorted_queries, values = queries[order], numbers[order]
    starts = np.searchsorted(sorted_queries, sorted_queries)
    sizes = np.searchsorted(sorted_queries, sorted_queries, side="right") - starts
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = (np.diff(sorted_queries) != 0) | (np.diff(values) != 0)
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(order)) - 1
    ranks = ((first + last) / 2)[np.cumsum(new) - 1] - starts
    found = np.zeros(len(numbers), dtype=np.float32)
    found[order] = 2 * ranks / np.maximum(sizes - 1, 1) - (sizes > 1)
    return found


def _numbers(shown: ShelfValues, name: str) -> Numbers | None:
    """Return the numbers of a field; None where no item has it as a number."""
    try:
        return shown.numbers(name)
    except ValueError:
        return None


def _cared(contexts: Contexts) -> tuple[Keys, NDArray[np.int64]]:
    """Return each pair of query and item that the asker cared for, ascending, and when last."""
    history = contexts.history.take(np.isin(contexts.history.kinds, _ANSWERS))
    lines = (history, contexts.purchases)
    keys = np.concatenate([keys_of(line.owners(), line.rows) for line in lines])
    seconds = np.concatenate([line.times.astype(np.int64) for line in lines])
    pairs, places = np.unique(keys, return_inverse=True)
    last = np.zeros(len(pairs), dtype=np.int64)
    np.maximum.at(last, places, seconds)
    return pairs, last
