"""Shares: how much each source added to the score of each item of some lists."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from recsys.arrays import Rows, Scores
from recsys.candidates import Candidates
from recsys.pipeline.pipeline import Pipeline
from recsys.query import Contribution

FILLS_ANY_LIST = "popular"
"""The source behind an item of which no source has anything to say."""


def shares_of_sources(pipeline: Pipeline, listed: Candidates) -> Scores:
    """Return the (n, n_names) share of each source in the scores; each row adds up to 1.

    Where no source counts, what they said of the item is shared out as it is.
    """
    return shares_of([pipeline], [listed])


def shares_of(pipelines: Sequence[Pipeline], lists: Sequence[Candidates]) -> Scores:
    """Return the (n, n_most_names) shares in the items of these lists, laid end to end.

    Column j is the source that the pipeline of an item's list names in place j, if any.
    """
    pairs = list(zip(pipelines, lists, strict=True))
    parts = _padded([pipeline.contributions(listed) for pipeline, listed in pairs])
    parts = np.maximum(parts, 0)
    sums = _sums(parts)
    if (sums <= 0).any():
        idle = sums <= 0
        parts[idle] = _padded([listed.signals for listed in lists])[idle]
        silent = _sums(parts) <= 0
        fillers = [_filler(pipeline) for pipeline in pipelines]
        parts[silent, np.repeat(fillers, [len(listed) for listed in lists])[silent]] = 1
        sums = _sums(parts)
    shares: Scores = parts / sums[:, np.newaxis]
    return shares


def main_sources(pipeline: Pipeline, listed: Candidates) -> Rows:
    """Return, for each candidate, the place of the source that added most to its score."""
    main: Rows = shares_of_sources(pipeline, listed).argmax(axis=1).astype(np.int32)
    return main


def contributions_of(
    shares: Scores, names: Sequence[tuple[str, ...]]
) -> Iterator[tuple[Contribution, ...]]:
    """Yield each item's (n, n_most_names) shares by the names of its sources, greatest first."""
    order = np.argsort(-shares, axis=1, kind="stable")
    ordered = np.take_along_axis(shares, order, axis=1)
    n_told = np.count_nonzero(ordered > 0, axis=1).tolist()
    columns = (order.tolist(), ordered.tolist(), n_told, names)
    for places, own, n, called in zip(*columns, strict=True):
        yield tuple(Contribution(called[places[rank]], own[rank]) for rank in range(n))


def _padded(tables: Sequence[Scores]) -> Scores:
    """Return tables one below the other, with zeros where some are narrower."""
    if len(tables) == 1:
        return tables[0].copy()
    width = max(table.shape[1] for table in tables)
    whole = np.zeros((sum(map(len, tables)), width), dtype=np.float32)
    start = 0
    for table in tables:
        whole[start : start + len(table), : table.shape[1]] = table
        start += len(table)
    return whole


def _sums(parts: Scores) -> Scores:
    """Return the sum of each row, from the left, so that zeros behind it change no bit of it."""
    sums: Scores = np.cumsum(parts, axis=1)[:, -1]
    return sums


def _filler(pipeline: Pipeline) -> int:
    names = pipeline.source_names
    return names.index(FILLS_ANY_LIST) if FILLS_ANY_LIST in names else 0
