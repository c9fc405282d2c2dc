"""Sessions of others that look like the asker's own: what came next in those may come next here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from recsys.arrays import (
    Mask,
    Offsets,
    Rows,
    Scores,
    Seconds,
    entries_of,
    frozen,
    keys_of,
    looked_up,
    offsets_of,
    places_within,
)
from recsys.events import EVENT_CODES, EventType
from recsys.interactions import BREAK
from recsys.models.neighbors import causes_as_rows, pairs_among, strongest_causes
from recsys.timelines import Ragged, Timeline, Weighted

MOST_STEPS = 10
"""Items of the asker's session that count, the newest."""

LOOKS = (EventType.CLICK, EventType.DETAIL_VIEW)
"""What looking at an item is."""
STEPS = (*LOOKS, EventType.ADD_TO_CART, EventType.PURCHASE)
"""What a session is made of."""

BREAK_SECONDS = int(BREAK / np.timedelta64(1, "s"))

_IS_STEP = np.isin(np.arange(len(EVENT_CODES)), [EVENT_CODES[kind] for kind in STEPS])


@dataclass(frozen=True, slots=True)
class SessionModel:
    """Sessions as neighbours, for whoever is in one: nobody needs to be known.

    After VMIS-kNN (Kersbergen, Sprangers, Schelter: Serenade, SIGMOD 2022). A session counts by
    the square of the weights of the items that it has in common with the asker's, where that one
    takes the best few: the square prefers sessions with several in common as well, and whatever
    it proposes falls when a step is taken away (checked as a law).

    What is kept says which items stood in one session, and nothing of whose it was or when.

    offsets, rows: (n_sessions + 1,) int64 and (n,) int32, the items of each, newest session first.
    item_offsets, sessions: (n_items + 1,) int64 and (m,) int32, the newest sessions of each item.
    rarities: (n_items,) float32, what an item counts: less, the more sessions it stands in.
    decay: what a step counts beside the one behind it, 0 to 1.
    """

    offsets: Offsets
    rows: Rows
    item_offsets: Offsets
    sessions: Rows
    rarities: Scores
    decay: float

    @classmethod
    def empty(cls, n_items: int) -> Self:
        """Return the model of a shop without sessions."""
        nothing = frozen(np.empty(0, dtype=np.int32))
        return cls(
            frozen(np.zeros(1, dtype=np.int64)),
            nothing,
            frozen(np.zeros(n_items + 1, dtype=np.int64)),
            nothing,
            frozen(np.ones(n_items, dtype=np.float32)),
            1.0,
        )

    def __len__(self) -> int:
        return len(self.rarities)

    def score(self, steps: Ragged) -> Weighted:
        """Return, by query, the items of sessions like these steps, each with a weight."""
        alike = self._met(steps).alike(len(steps))
        lengths = np.diff(self.offsets)[alike.rows]
        rows = self.rows[entries_of(self.offsets, alike.rows)]
        weights = np.repeat(alike.weights**2, lengths) * self.rarities[rows]
        return Weighted.summed(np.repeat(alike.owners(), lengths), rows, weights, len(steps))

    def anchors(self, steps: Ragged, queries: Rows, rows: Rows) -> Rows:
        """Return, for (n,) pairs of query and row, the step without which it would fall most.

        -1 where no session brings it.
        """
        met = self._met(steps)
        shares = met.falls(met.alike(len(steps)))
        lengths = np.diff(self.offsets)[met.sessions]
        every = np.repeat(np.arange(len(lengths)), lengths)
        members = self.rows[entries_of(self.offsets, met.sessions)]
        hits, pairs = pairs_among(met.queries[every], members, queries, rows)
        places, every = met.places[every[hits]], every[hits]
        falls = Weighted.summed(pairs, places, shares[every], len(rows))
        best = strongest_causes(falls.owners(), falls.rows, falls.weights, len(rows))
        return causes_as_rows(best, steps.rows)

    def _met(self, steps: Ragged) -> _Met:
        """Return where the steps stand in the sessions that are kept."""
        weights = np.float32(self.decay) ** places_within(steps.owners())
        known = np.flatnonzero(steps.rows < len(self)).astype(np.int32)
        rows = steps.rows[known]
        places = np.repeat(known, np.diff(self.item_offsets)[rows])
        sessions = self.sessions[entries_of(self.item_offsets, rows)]
        counted: Scores = weights[places].astype(np.float32)
        return _Met(steps.owners()[places], places, sessions, counted)


@dataclass(frozen=True, slots=True)
class _Met:
    """Steps as they stand in sessions. queries, places (of steps), sessions, weights: (n,)."""

    queries: Rows
    places: Rows
    sessions: Rows
    weights: Scores

    def alike(self, n_queries: int) -> Weighted:
        """Return, by query, the sessions with the weights they have in common with it."""
        return Weighted.summed(self.queries, self.sessions, self.weights, n_queries)

    def falls(self, alike: Weighted) -> Scores:
        """Return how much each session's square would lose without the step."""
        pairs = keys_of(alike.owners(), alike.rows)
        common = looked_up(pairs, alike.weights, keys_of(self.queries, self.sessions))
        lost: Scores = self.weights * (np.float32(2) * common - self.weights)
        return lost


def steps_of(history: Timeline, purchases: Timeline) -> Ragged:
    """Return the items of each asker's newest session, each once, newest first.

    At most `MOST_STEPS`. A session ends as `Interactions.sessions` says, and the newest is that
    however long ago it was.
    """
    lines = (history.take(_IS_STEP[history.kinds]), purchases)
    owners = np.concatenate([line.owners() for line in lines])
    rows = np.concatenate([line.rows for line in lines])
    seconds = np.concatenate([line.times for line in lines]).astype(np.int64)
    order = np.lexsort((-seconds, owners))
    owners, rows, seconds = owners[order], rows[order], seconds[order]
    kept = _of_newest_session(owners, seconds)
    owners, rows = owners[kept], rows[kept]
    _, first = np.unique(keys_of(owners, rows), return_index=True)
    first.sort()
    owners, rows = owners[first], rows[first]
    newest = places_within(owners) < MOST_STEPS
    counts = np.bincount(owners[newest], minlength=len(history))
    return Ragged(offsets_of(counts), rows[newest])


def _of_newest_session(owners: Rows, seconds: Seconds) -> Mask:
    """Return which (n,) events, newest first by owner, have no break behind them."""
    gaps = np.zeros(len(owners), dtype=np.int64)
    gaps[1:] = (owners[1:] == owners[:-1]) & (seconds[:-1] - seconds[1:] > BREAK_SECONDS)
    before = np.cumsum(gaps)
    starts = np.searchsorted(owners, owners)
    kept: Mask = before == before[starts] if len(owners) else before > 0
    return kept
