"""Timelines: what each of a batch of customers did, newest first, as ragged columns.

They come from states (serving) or from interactions (replay and training), by the same rules
and limits, so that a model sees a customer alike in both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from recsys.arrays import (
    SECONDS_A_DAY,
    Kinds,
    Mask,
    Offsets,
    Rows,
    Scores,
    Times,
    entries_of,
    frozen,
    keys_of,
    offsets_of,
    owners,
    owners_of,
    places_within,
    rows_of,
)
from recsys.interactions import Interactions
from recsys.refunds import REFUND, kept_pieces
from recsys.state import (
    Entries,
    Facet,
    kinds_of_entries,
    quantities_of_entries,
    quantities_of_whats,
    rows_of_entries,
    whats,
)


@dataclass(frozen=True, slots=True)
class Ragged:
    """Item rows of different number for each query, laid end to end.

    offsets: (q + 1,) int64 bounds.
    rows: (n,) int32.
    """

    offsets: Offsets
    rows: Rows

    @classmethod
    def of(cls, lists: Sequence[Rows]) -> Self:
        """Return these lists end to end."""
        lengths = np.array([len(rows) for rows in lists], dtype=np.int64)
        rows = np.concatenate(lists) if len(lists) else np.empty(0, dtype=np.int32)
        return cls(offsets_of(lengths), frozen(rows.astype(np.int32, copy=False)))

    @classmethod
    def of_pairs(cls, queries: Rows, rows: Rows, n_queries: int) -> Self:
        """Return the lists of these (query, row) pairs, in their order within each query."""
        order = np.argsort(queries, kind="stable")
        return cls(offsets_of(np.bincount(queries, minlength=n_queries)), rows[order])

    @classmethod
    def empty(cls, n_queries: int) -> Self:
        """Return an empty list for each query."""
        return cls(np.zeros(n_queries + 1, dtype=np.int64), np.empty(0, dtype=np.int32))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def owners(self) -> Rows:
        """Return each entry's query."""
        return owners(self.offsets)

    def lengths(self) -> Offsets:
        """Return the (q,) int64 number of rows of each query."""
        return self.offsets[1:] - self.offsets[:-1]

    def at(self, query: int) -> Rows:
        """Return one query's rows."""
        return self.rows[self.offsets[query] : self.offsets[query + 1]]

    def of_queries(self, places: Rows) -> Self:
        """Return the lists at these (m,) places, in their order."""
        return type(self)(
            _bounds(self.offsets, places), self.rows[entries_of(self.offsets, places)]
        )

    def joined(self, other: Self) -> Self:
        """Return, for each query, the rows of both, its own first."""
        if len(self) == 1:
            rows = np.concatenate((self.rows, other.rows))
            return type(self)(np.array([0, len(rows)], dtype=np.int64), rows)
        queries = np.concatenate((self.owners(), other.owners()))
        return self.of_pairs(queries, np.concatenate((self.rows, other.rows)), len(self))


@dataclass(frozen=True, slots=True)
class Weighted:
    """Item rows with a weight for each query; each row once a query.

    offsets: (q + 1,) int64 bounds. rows: (n,) int32, ascending within a query.
    weights: (n,) float32.
    """

    offsets: Offsets
    rows: Rows
    weights: Scores

    @classmethod
    def summed(cls, queries: Rows, rows: Rows, weights: Scores, n_queries: int) -> Self:
        """Return the weights of equal (query, row) pairs added up."""
        keys = keys_of(queries, rows)
        pairs, places = np.unique(keys, return_inverse=True)
        totals = np.bincount(places, weights=weights, minlength=len(pairs)).astype(np.float32)
        counts = np.bincount(owners_of(pairs), minlength=n_queries)
        return cls(offsets_of(counts), rows_of(pairs), totals)

    def of_queries(self, places: Rows) -> Self:
        """Return the entries of the queries at these (m,) places, in their order."""
        entries = entries_of(self.offsets, places)
        bounds = _bounds(self.offsets, places)
        return type(self)(bounds, self.rows[entries], self.weights[entries])

    def take(self, chosen: Mask) -> Self:
        """Return the entries where the (n,) mask is true."""
        counts = np.bincount(self.owners()[chosen], minlength=len(self))
        return type(self)(offsets_of(counts), self.rows[chosen], self.weights[chosen])

    def owners(self) -> Rows:
        """Return each entry's query."""
        return owners(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1


@dataclass(frozen=True, slots=True)
class Timeline:
    """Events of a batch of customers, newest first.

    offsets: (q + 1,) int64 bounds.
    rows: (n,) int32 item rows. times: (n,) datetime64[s].
    kinds: (n,) uint8 codes of event types. quantities: (n,) float32 pieces.
    """

    offsets: Offsets
    rows: Rows
    times: Times
    kinds: Kinds
    quantities: Scores

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @classmethod
    def of_entries(cls, states: Sequence[Entries], n_items: int) -> Self:
        """Return the timeline of these packed sets; rows the bundle does not know are left out."""
        lengths = np.array([len(entries) for entries in states], dtype=np.int64)
        every = np.concatenate(states)
        rows = rows_of_entries(every)
        line = cls(
            offsets_of(lengths),
            rows,
            every["time"].astype(np.int64).astype("datetime64[s]"),
            kinds_of_entries(every),
            quantities_of_entries(every),
        )
        return line.take(rows < n_items)

    @classmethod
    def of_interactions(cls, interactions: Interactions, users: Rows, facet: Facet) -> Self:
        """Return the timeline of these (q,) users, under the facet's kinds and limit."""
        place = np.full(interactions.n_users, -1, dtype=np.int32)
        place[users] = np.arange(len(users), dtype=np.int32)
        chosen = interactions.take(
            (place[interactions.users] >= 0) & facet.remembers()[interactions.kinds]
        )
        what = whats(chosen.items, chosen.kinds, chosen.quantities)
        queries, times = place[chosen.users], chosen.times
        order = np.lexsort((what, chosen.ties, times, -queries))[::-1]
        columns = np.stack((queries, times.astype(np.int64), chosen.ties, what))[:, order]
        first = np.ones(len(order), dtype=np.bool_)
        first[1:] = np.any(columns[:, 1:] != columns[:, :-1], axis=0)
        order = order[first]
        order = order[places_within(queries[order]) < facet.limit]
        counts = np.bincount(queries[order], minlength=len(users))
        return cls(
            offsets_of(counts),
            chosen.items[order],
            times[order],
            chosen.kinds[order],
            quantities_of_whats(what[order]),
        )

    def of_queries(self, places: Rows) -> Self:
        """Return the entries of the queries at these (m,) places, in their order."""
        entries = entries_of(self.offsets, places)
        return type(self)(
            _bounds(self.offsets, places),
            self.rows[entries],
            self.times[entries],
            self.kinds[entries],
            self.quantities[entries],
        )

    def owners(self) -> Rows:
        """Return each entry's query."""
        return owners(self.offsets)

    def take(self, chosen: Mask) -> Self:
        """Return the entries where the (n,) mask is true."""
        if chosen.all():
            return self
        counts = np.bincount(self.owners()[chosen], minlength=len(self))
        return type(self)(
            offsets_of(counts),
            self.rows[chosen],
            self.times[chosen],
            self.kinds[chosen],
            self.quantities[chosen],
        )

    def rolled_up(self, primaries: Rows) -> Self:
        """Return the entries on products: each item's primary; without one it is left out."""
        rolled = replace(self, rows=primaries[self.rows])
        return rolled.take(rolled.rows >= 0)

    def until(self, instants: Times) -> Self:
        """Return the entries no later than their query's (q,) instant."""
        return self.take(self.times <= instants[self.owners()])

    def settled(self) -> Self:
        """Return the purchases less what was refunded; an entry's pieces are those kept."""
        if not np.any(self.kinds == REFUND):
            return self
        keys = keys_of(self.owners(), self.rows)
        order = np.argsort(keys, kind="stable")  # newest first within a key, as they stand
        left = np.empty_like(self.quantities)
        left[order] = kept_pieces(keys[order], self.kinds[order], self.quantities[order])
        return replace(self, quantities=left).take(left > 0)

    def ages(self, now: Times) -> Scores:
        """Return each entry's age in days at its query's instant, at least 0."""
        seconds = (now[self.owners()] - self.times).astype(np.float64)
        return np.maximum(seconds / SECONDS_A_DAY, 0.0).astype(np.float32)

    def of_rows(self) -> Ragged:
        """Return the rows alone, in their order."""
        return Ragged(self.offsets, self.rows)

    def newest_of_each(self) -> Self:
        """Return the newest entry of each row within each query."""
        keys = keys_of(self.owners(), self.rows)
        _, first = np.unique(keys, return_index=True)
        chosen = np.zeros(len(self.rows), dtype=np.bool_)
        chosen[first] = True
        return self.take(chosen)


@dataclass(frozen=True, slots=True, eq=False)
class Remembered:
    """The timelines of a batch of customers, each made when somebody asks for it, and once.

    make: reads what they did of one facet. made: by its name; a memory, which changes no answer.
    """

    make: Callable[[Facet], Timeline]
    made: dict[str, Timeline] = field(default_factory=dict, repr=False)

    def of(self, facet: Facet) -> Timeline:
        """Return the timeline of a facet."""
        if facet.name not in self.made:
            self.made[facet.name] = self.make(facet)
        return self.made[facet.name]

    def of_queries(self, places: Rows) -> Self:
        """Return the timelines of the queries at these (m,) places."""
        return type(self)(lambda facet: self.of(facet).of_queries(places))


def _bounds(offsets: Offsets, places: Rows) -> Offsets:
    """Return the bounds of the lists at these places, laid end to end."""
    return offsets_of(np.diff(offsets)[places])
