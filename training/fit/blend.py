"""How much each source of a placement counts: a direct search of NDCG@10 on validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import Mask, Scores, keys_of, places_within
from recsys.candidates import Candidates
from recsys.models.blend import Blend
from recsys.timelines import Ragged

DEPTH = 10
STEPS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0, 2.0)
"""Weights tried for one source while the others stay."""
ROUNDS = 3
WIDEST = 100
"""Candidates of a query that are weighed: those of which some source says most."""
FEW = 300
"""Queries on which the starts are compared."""
NEW_SHARE = 0.1
"""What NDCG of new items counts beside that of all."""
LEAST_GAIN = 5e-4
"""NDCG that a change must gain: half the standard error of a difference over 2,000 customers.
Steps go upwards, so that of weights or exponents nearly alike the least is kept."""


def fit_blend(
    lists: Sequence[tuple[Candidates, Ragged]],
    names: Sequence[str],
    trends: Scores,
    *,
    exponents: Sequence[float],
) -> Blend:
    """Return the weights >= 0, the greatest of them 1, and the trend, under which lists are best.

    lists: candidates of all queries, with one signal a source, and their targets. A second pair
    holds the same for new items alone: it counts little, and decides among weights that make no
    difference to the first. names: of the sources. trends: (n_items,), counted by one of the
    `exponents`.

    Coordinate ascent from several starts (each source alone, and all alike) on a few evenly
    spaced queries, then from the best of them on all: a few cannot tell small gains from noise.
    """
    whole = [_Board.of(*pair, np.log(trends)) for pair in lists]
    if not whole[0].hits.any():
        return Blend(dict.fromkeys(map(str, names), 1.0))
    few = [board.thinned() for board in whole]
    n = len(names)
    starts = [np.append(start, exponents[0]) for start in (np.ones(n), *np.eye(n))]
    climbed = [_climb(few, start, exponents) for start in starts]
    best = max(climbed, key=lambda found: _worth(whole, found))
    *weights, trend = _climb(whole, best, exponents).tolist()
    return Blend(
        {str(name): round(w / max(weights), 4) for name, w in zip(names, weights, strict=True)},
        float(trend),
    )


def _climb(
    boards: Sequence[_Board], at: NDArray[np.float64], exponents: Sequence[float]
) -> NDArray[np.float64]:
    """Return where no single change of a weight, or of the exponent behind them, gains more."""
    best = _worth(boards, at)
    for _ in range(ROUNDS):
        before = best
        for place in range(len(at)):
            for step in STEPS if place < len(at) - 1 else exponents:
                tried = at.copy()
                tried[place] = step
                reached = _worth(boards, tried)
                if reached > best + LEAST_GAIN:
                    at, best = tried, reached
        if best <= before:
            break
    return at


def _worth(boards: Sequence[_Board], at: NDArray[np.float64]) -> float:
    if not at[:-1].any():
        return -1.0
    shares = (1.0, *[NEW_SHARE] * (len(boards) - 1))
    return sum(
        share * board.ndcg(at[:-1], float(at[-1]))
        for share, board in zip(shares, boards, strict=True)
    )


@dataclass(frozen=True, slots=True)
class _Board:
    """Candidates as a table, a query a row, filled up with signals of -1.

    signals: (n_sources, q, width) float32. hits: (q, width) bool, whether it is a target.
    trends: (q, width) logarithm of the item's trend. ideal: (q,) the gain of the best list.
    """

    signals: NDArray[np.float32]
    hits: Mask
    trends: NDArray[np.float32]
    ideal: NDArray[np.float64]

    @classmethod
    def of(cls, candidates: Candidates, targets: Ragged, trends: Scores) -> Self:
        """Return the table of the queries that have a target; trends are logarithms, by item."""
        asking = np.flatnonzero(np.diff(targets.offsets))
        line = np.full(len(targets), -1, dtype=np.int32)
        line[asking] = np.arange(len(asking), dtype=np.int32)
        wanted = keys_of(targets.owners(), targets.rows)
        kept = candidates.take(line[candidates.queries] >= 0)
        most = np.full(len(targets), WIDEST, dtype=np.int32)
        kept = kept.scored(kept.signals.max(axis=1, initial=0.0)).best(most)
        places = places_within(kept.queries), line[kept.queries]
        width = int(places[0].max(initial=0)) + 1
        signals = np.full(
            (kept.signals.shape[1], len(asking), max(width, DEPTH)), -1.0, dtype=np.float32
        )
        signals[:, places[1], places[0]] = kept.signals.T
        hits = np.zeros(signals.shape[1:], dtype=np.bool_)
        hits[places[1], places[0]] = np.isin(keys_of(kept.queries, kept.rows), wanted)
        table = np.zeros(hits.shape, dtype=np.float32)
        table[places[1], places[0]] = trends[kept.rows]
        gains = np.concatenate(([0.0], np.cumsum(_discounts())))
        return cls(signals, hits, table, gains[np.minimum(np.diff(targets.offsets)[asking], DEPTH)])

    def thinned(self) -> Self:
        """Return evenly spaced queries, about `FEW` of them."""
        every = max(len(self.ideal) // FEW, 1)
        return type(self)(
            self.signals[:, ::every], self.hits[::every], self.trends[::every], self.ideal[::every]
        )

    def ndcg(self, weights: NDArray[np.float64], exponent: float) -> float:
        """Return the mean NDCG@10 under these weights."""
        scores: Scores = np.tensordot(weights.astype(np.float32), self.signals, axes=1)
        if exponent:
            scores *= np.exp(np.float32(exponent) * self.trends)
        first = np.argpartition(-scores, DEPTH - 1, axis=1)[:, :DEPTH]
        order = np.argsort(-np.take_along_axis(scores, first, axis=1), axis=1, kind="stable")
        found = np.take_along_axis(self.hits, np.take_along_axis(first, order, axis=1), axis=1)
        return float(np.mean(found @ _discounts() / self.ideal))


def _discounts() -> NDArray[np.float64]:
    discounts: NDArray[np.float64] = 1 / np.log2(np.arange(DEPTH) + 2)
    return discounts
