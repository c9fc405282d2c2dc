"""Metrics of ranked lists, one value a query, and intervals over queries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import Mask, keys_of
from recsys.candidates import Candidates
from recsys.timelines import Ragged

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over queries and its 95 % interval by bootstrap."""

    mean: float
    low: float
    high: float


def hits(listed: Candidates, targets: Ragged, k: int) -> Mask:
    """Return the (q, k) table of which places of each list hold a target.

    listed: best first within each query.
    """
    wanted = keys_of(targets.owners(), targets.rows)
    first = listed.first(np.full(len(targets), k, dtype=np.int32))
    found = np.isin(keys_of(first.queries, first.rows), wanted)
    table = np.zeros((len(targets), k), dtype=np.bool_)
    places = np.arange(len(first)) - np.searchsorted(first.queries, first.queries)
    table[first.queries, places] = found
    return table


def recall(table: Mask, n_targets: NDArray[np.int64]) -> Values:
    """Return the share of each query's targets that are in its list; 0 where it has none."""
    found = table.sum(axis=1)
    values: Values = np.divide(
        found, n_targets, out=np.zeros(len(table), dtype=np.float64), where=n_targets > 0
    )
    return values


def ndcg(table: Mask, n_targets: NDArray[np.int64]) -> Values:
    """Return each query's discounted gain over the ideal one (Järvelin, Kekäläinen 2002)."""
    discounts = 1 / np.log2(np.arange(table.shape[1]) + 2)
    ideal = np.concatenate(([0.0], np.cumsum(discounts)))[np.minimum(n_targets, table.shape[1])]
    values: Values = np.divide(
        table @ discounts, ideal, out=np.zeros(len(table), dtype=np.float64), where=ideal > 0
    )
    return values


def coverage(listed: Candidates, k: int, n_items: int, n_queries: int) -> float:
    """Return the share of all items that stand in at least one list's first k."""
    first = listed.first(np.full(n_queries, k, dtype=np.int32))
    return len(np.unique(first.rows)) / n_items


def bootstrap(values: Values, rng: np.random.Generator, *, draws: int = 1_000) -> Interval:
    """Return the mean of (q,) values and its 95 % percentile interval (Efron 1979).

    For a paired difference, pass the differences.
    """
    if not len(values):
        return Interval(float("nan"), float("nan"), float("nan"))
    means = values[rng.integers(len(values), size=(draws, len(values)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(values.mean()), float(low), float(high))
