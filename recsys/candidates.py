"""Candidates: what flows through a pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import Keys, Mask, Rows, Scores, keys_of, owners_of, places_within, rows_of

_MOST_NARROW = np.iinfo(np.int16).max


@dataclass(frozen=True, slots=True)
class Candidates:
    """Items under consideration for a batch of queries, held as parallel columns.

    queries: (n,) int32 place of the query in the batch, ascending.
    rows: (n,) int32 catalog rows, unique within a query.
    scores: (n,) float32, higher is better; comparable within one query and stage only.
    signals: (n, n_sources) float32, what each source of the pipeline said, from 0 (nothing) to 1
        (its best of the query); no columns until the sources are merged.
    """

    queries: Rows
    rows: Rows
    scores: Scores
    signals: NDArray[np.float32]

    def __post_init__(self) -> None:
        if not self.queries.shape == self.rows.shape == self.scores.shape == self.signals.shape[:1]:
            raise ValueError(
                f"{self.queries.shape} queries, {self.rows.shape} rows, "
                f"{self.scores.shape} scores, {self.signals.shape} signals"
            )

    @classmethod
    def of(cls, queries: Rows, rows: Rows, scores: Scores) -> Self:
        """Return candidates of one source, put in order of their queries."""
        order = np.argsort(queries, kind="stable")
        signals = np.empty((len(rows), 0), dtype=np.float32)
        return cls(
            queries[order].astype(np.int32, copy=False),
            rows[order].astype(np.int32, copy=False),
            scores[order].astype(np.float32, copy=False),
            signals,
        )

    @classmethod
    def merged(cls, lists: Sequence[Self]) -> Self:
        """Return every (query, row) of the lists once; signal j is what list j said of it.

        A source's scores are divided by its best of the query, so that sources with different
        units can be weighed against each other.
        """
        keys = np.concatenate([keys_of(found.queries, found.rows) for found in lists])
        pairs, places = np.unique(keys, return_inverse=True)
        signals = np.zeros((len(pairs), len(lists)), dtype=np.float32)
        start = 0
        for source, found in enumerate(lists):
            signals[places[start : start + len(found)], source] = found.relative()
            start += len(found)
        queries, rows = owners_of(pairs), rows_of(pairs)
        return cls(queries, rows, np.zeros(len(pairs), dtype=np.float32), signals)

    def __len__(self) -> int:
        return len(self.rows)

    def relative(self) -> Scores:
        """Return each score as a share of its query's best; 0 where that is not positive."""
        return relative_to_best(self.queries, self.scores)

    def take(self, chosen: Mask | NDArray[np.int64]) -> Self:
        """Return the chosen candidates: where a (n,) mask is true, or at (m,) places."""
        return type(self)(
            self.queries[chosen], self.rows[chosen], self.scores[chosen], self.signals[chosen]
        )

    def scored(self, scores: Scores) -> Self:
        """Return the same candidates under other (n,) scores."""
        return type(self)(self.queries, self.rows, scores, self.signals)

    def with_signal(self) -> Self:
        """Return the same candidates with one signal more, of which there is nothing to say."""
        nothing = np.zeros((len(self), 1), dtype=np.float32)
        return replace(self, signals=np.concatenate((self.signals, nothing), axis=1))

    def followed_by(self, others: Self) -> Self:
        """Return each query's candidates, and behind them its others."""
        queries = np.concatenate((self.queries, others.queries))
        order = np.argsort(queries, kind="stable")
        return type(self)(
            queries[order],
            np.concatenate((self.rows, others.rows))[order],
            np.concatenate((self.scores, others.scores))[order],
            np.concatenate((self.signals, others.signals))[order],
        )

    def ordered(self) -> Self:
        """Return the candidates best first within each query; ties go to the lower row."""
        keys = keys_of(self.queries, self.rows)
        if not (keys[1:] > keys[:-1]).all():
            return self.take(np.lexsort((self.rows, -self.scores, self.queries)))
        order = np.argsort(-self.scores, kind="stable")
        if len(keys) and self.queries[0] != self.queries[-1]:
            queries = self.queries[order]
            # Numbers of two bytes are sorted in linear time.
            narrow = queries.astype(np.int16) if queries.max() <= _MOST_NARROW else queries
            order = order[np.argsort(narrow, kind="stable")]
        return self.take(order)

    def best(self, limits: Rows) -> Self:
        """Return the highest scores of each query, best first: at most `limits` (q,) of each."""
        return self._contenders(limits).ordered().first(limits)

    def first(self, limits: Rows) -> Self:
        """Return at most `limits` (q,) candidates of each query, in the order they stand."""
        return self.take(places_within(self.queries) < limits[self.queries])

    def _contenders(self, limits: Rows) -> Self:
        """Return those that score no less than the last of `limits` (q,), since sorting is dear."""
        bounds = np.searchsorted(self.queries, np.arange(len(limits) + 1))
        kept = np.ones(len(self), dtype=np.bool_)
        for query in np.flatnonzero(np.diff(bounds) > 2 * limits).tolist():
            own = slice(bounds[query], bounds[query + 1])
            last = bounds[query + 1] - bounds[query] - max(limits[query], 1)
            kept[own] = self.scores[own] >= np.partition(self.scores[own], last)[last]
        return self.take(kept)


def relative_to_best(groups: Rows | Keys, scores: Scores) -> Scores:
    """Return each (n,) score as a share of its group's best; 0 where that is not positive.

    groups: (n,) ascending.
    """
    if not len(scores):
        return scores
    first = np.ones(len(groups), dtype=np.bool_)
    np.not_equal(groups[1:], groups[:-1], out=first[1:])
    best = np.maximum.reduceat(scores, np.flatnonzero(first))[np.cumsum(first) - 1]
    shares = np.divide(scores, best, out=np.zeros_like(scores), where=best > 0)
    positive: Scores = np.maximum(shares, 0.0)
    return positive
