"""Newcomers: a share of each list for items that are too new to be ranked by what they are worth.

Which of them an asker sees, and where, changes from hour to hour by a stable hash: nothing is left
to chance, and every newcomer gets its turn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import SECONDS_A_DAY, Mask, Rows, Scores, Seconds, Vectors
from recsys.bundle import ModelBundle
from recsys.candidates import Candidates
from recsys.catalog import NEVER
from recsys.context import Contexts
from recsys.eligibility import Eligibility
from recsys.models.factors import FactorModel
from recsys.pipeline.chance import HOUR_S, hashes, mixed, units
from recsys.pipeline.insertion import Counts, leaving, spread
from recsys.pipeline.placement import NewcomersConfig
from recsys.pipeline.sources import folded_in
from recsys.timelines import Ragged

OPENING_S = int(SECONDS_A_DAY)
"""What a shop described within this of its first item came with the shop: it is not new to it."""
MOST_WEIGHED = 1_000
"""Newcomers compared for one list; of more than that, the next ones each hour."""
MOST_RELEVANT = 50
"""Of those compared, the most relevant for the asker, who take turns."""
NUDGE = np.float32(1e-3)
"""How much of the best relevance its turn adds to a newcomer's, so that equals take turns too."""


@dataclass(frozen=True, slots=True)
class Newcomers:
    """Items without evidence, each until its time is over.

    rows: (n,) int32, ascending. since: (n,) int64, when each was described first.
    lasting_s: for how many seconds an item is new.
    """

    rows: Rows
    since: Seconds
    lasting_s: int

    @classmethod
    def of(cls, bundle: ModelBundle, config: NewcomersConfig) -> Self:
        """Return the items of a bundle that were bought less often than evidence takes.

        Of items that came after the bundle was learned, nothing was bought.
        """
        since = bundle.catalog.since
        new = bundle.popularity.counts < np.float32(config.evidence)
        new &= came_later(since, n_learned=len(bundle.factors.items))
        rows = np.flatnonzero(new).astype(np.int32)
        return cls(rows, since[rows], round(config.days * SECONDS_A_DAY))

    def __len__(self) -> int:
        return len(self.rows)

    def at(self, now: int) -> Rows:
        """Return the rows that are new at a second."""
        return self.rows[self._new(self.since, now)]

    def among(self, rows: Rows, now: Seconds) -> Mask:
        """Return which of these (n,) rows are new at these (n,) seconds."""
        if not len(self):
            return np.zeros(len(rows), dtype=np.bool_)
        places = np.minimum(np.searchsorted(self.rows, rows), len(self) - 1)
        found: Mask = self.rows[places] == rows
        return found & self._new(self.since[places], now)

    def _new(self, since: Seconds, now: Seconds | int) -> Mask:
        age: Seconds = np.asarray(now) - since
        new: Mask = (age >= 0) & (age < self.lasting_s)
        return new


@dataclass(frozen=True, slots=True)
class Introduction:
    """Gives newcomers their share of lists that are made.

    A list keeps its length, its first item and the order of the others, the last of which leave.
    Newcomers that stand in it by their own rank count towards the share, and stay.

    share: of a list, on average over askers and hours. factors: tell what is relevant for whom.
    """

    newcomers: Newcomers
    share: float
    factors: FactorModel

    def introduce(
        self, contexts: Contexts, eligible: Eligibility, listed: Candidates
    ) -> Candidates:
        """Return the lists with newcomers among them.

        `signals` have one column more: 1 for those let in, of whom nothing else is said, and who
        stand under the score of the item before them.
        """
        seconds = contexts.now.astype(np.int64)
        present = self.newcomers.among(listed.rows, seconds[listed.queries])
        drawn = hashes(contexts.queries, seconds)
        lengths = np.bincount(listed.queries, minlength=len(contexts))
        due = np.floor(self.share * lengths + units(drawn)).astype(np.int64)
        due = np.minimum(due, np.maximum(lengths - 1, 0))
        missing = due - np.bincount(listed.queries[present], minlength=len(contexts))
        held = Ragged.of_pairs(listed.queries, listed.rows, len(contexts))
        may = Eligibility(eligible.shared, eligible.excluded.joined(held))
        let_in = [np.empty(0, dtype=np.int32)] * len(contexts)
        for second in np.unique(seconds[missing > 0]).tolist():
            pool = _weighed(self.newcomers.at(second), eligible.shared, second // HOUR_S)
            asking = np.flatnonzero((seconds == second) & (missing > 0)).astype(np.int32)
            turns = units(mixed(drawn[asking, np.newaxis] ^ mixed(pool.astype(np.uint64))))
            chosen = self._chosen(contexts, asking, pool, turns.astype(np.float32), may)
            for query, rows in zip(asking.tolist(), chosen, strict=True):
                let_in[query] = rows[: missing[query]]
        return _joined(listed, present, Ragged.of(let_in), units(mixed(drawn)))

    def _chosen(
        self, contexts: Contexts, asking: Rows, pool: Rows, turns: Scores, may: Eligibility
    ) -> list[Rows]:
        """Return, for each asking query, those of the pool that it may show, by their turn."""
        weights = self._relevance(contexts, asking, pool)
        best = np.abs(weights).max(axis=1, initial=0.0, keepdims=True)
        weights += turns * np.where(best > 0, NUDGE * best, 1)
        weights[_refused(may, asking, pool)] = -np.inf
        likely = _greatest(weights, MOST_RELEVANT)
        order = np.argsort(np.take_along_axis(turns, likely, axis=1), axis=1, kind="stable")
        places = np.take_along_axis(likely, order, axis=1)
        allowed = np.isfinite(np.take_along_axis(weights, places, axis=1))
        return [pool[own[there]] for own, there in zip(places, allowed, strict=True)]

    def _relevance(self, contexts: Contexts, asking: Rows, pool: Rows) -> Vectors:
        """Return the (n_asking, n_pool) inner products with the seeds' mean, else with the asker.

        A sum stands for the mean: its length changes no order.
        """
        seeds, dim = contexts.related, self.factors.items.shape[1]
        vectors = np.zeros((len(contexts), dim), dtype=np.float32)
        unseeded = np.diff(seeds.offsets) == 0
        if unseeded[asking].any():
            vectors[unseeded] = folded_in(self.factors, contexts)[unseeded]
        np.add.at(vectors, seeds.owners(), self.factors.of_rows(seeds.rows))
        weights: Vectors = vectors[asking] @ self.factors.of_rows(pool).T
        return weights


def came_later(since: Seconds, *, n_learned: int) -> Mask:
    """Return which items were described after the shop opened.

    Of the items that the bundle was learned with, those of the first day were there before; one
    that came behind them is new however young the shop is.
    """
    learned = since[:n_learned]
    later: Mask = since > 0
    later[:n_learned] &= (
        learned >= np.min(learned[learned > 0], initial=NEVER - OPENING_S) + OPENING_S
    )
    return later


def _weighed(new: Rows, shared: Mask, hour: int) -> Rows:
    """Return those that may be shown, ascending; of too many those whose hour it is."""
    new = new[shared[new]]
    if len(new) <= MOST_WEIGHED:
        return new
    start = hour * MOST_WEIGHED % len(new)
    return np.sort(np.take(new, np.arange(start, start + MOST_WEIGHED), mode="wrap"))


def _greatest(weights: Vectors, n_most: int) -> Counts:
    """Return the places of the greatest weights of each row of a table, in no order."""
    if weights.shape[1] <= n_most:
        return np.broadcast_to(np.arange(weights.shape[1]), weights.shape)
    return np.argpartition(-weights, n_most - 1, axis=1)[:, :n_most]


def _refused(may: Eligibility, asking: Rows, pool: Rows) -> Mask:
    """Return the (n_asking, n_pool) table of what a query excludes for itself."""
    table = np.zeros((len(may.excluded), len(pool)), dtype=np.bool_)
    rows = may.excluded.rows
    places = np.searchsorted(pool, rows)
    found = places < len(pool)
    found[found] = pool[places[found]] == rows[found]
    table[may.excluded.owners()[found], places[found]] = True
    return table[asking]


def _joined(
    listed: Candidates, present: Mask, let_in: Ragged, offsets: NDArray[np.float64]
) -> Candidates:
    """Return the lists with others let in, evenly spread from each query's offset (0 to 1) on."""
    n_more, lengths = np.diff(let_in.offsets), np.bincount(listed.queries, minlength=len(let_in))
    kept = listed.take(~leaving(listed, present, n_more))
    queries = let_in.owners()
    order = spread(kept.queries, queries, lengths, offsets)
    new = order >= len(kept)
    before = np.maximum.accumulate(np.where(new, 0, np.arange(len(order))))
    signals = np.zeros((len(order), listed.signals.shape[1] + 1), dtype=np.float32)
    signals[~new, :-1] = kept.signals
    signals[new, -1] = 1
    scores = np.concatenate((kept.scores, np.zeros(len(queries), dtype=np.float32)))[order]
    return Candidates(
        np.concatenate((kept.queries, queries))[order],
        np.concatenate((kept.rows, let_in.rows))[order],
        scores[before],
        signals,
    )
