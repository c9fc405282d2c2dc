"""Events as changes of customers' states: a change is a small state, made of what is new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np

from recsys.arrays import Rows, offsets_of, places_within
from recsys.customers import IdKind
from recsys.events import EVENT_CODES, EVENT_TYPES, Event, Record
from recsys.state import (
    ENTRY,
    FACETS,
    HEADER,
    Entries,
    UserState,
    kinds_of_entries,
    packed,
    ties_of,
)
from serving.intake import MOST_AHEAD
from serving.log.records import microseconds
from serving.state.keys import StateKey, StateKeys, most_durable

REMEMBERED = frozenset(kind for facet in FACETS for kind in facet.kinds)
"""The types of events that change a customer's state; all others live in log and lake alone."""

_FACET_OF = np.array(
    [next((n for n, facet in enumerate(FACETS) if k in facet.kinds), -1) for k in EVENT_TYPES]
)
_LIMITS = np.array([facet.limit for facet in FACETS])


@dataclass(frozen=True, slots=True)
class Change:
    """What is new about one customer.

    entries: a state (`UserState.to_bytes`) of the new entries alone, at least one.
    """

    key: StateKey
    entries: bytes


@dataclass(frozen=True, slots=True)
class PackedEvents:
    """Many events as columns: the form in which states are made again fast.

    owners: whom events count for, each once: kind of id and id.
    groups: (n,) int32, each event's place in `owners`.
    entries: (n,) ENTRY, in any order, of types that a facet remembers.
    """

    owners: Sequence[tuple[IdKind, str]]
    groups: Rows
    entries: Entries

    @classmethod
    def of(cls, records: Sequence[Record]) -> PackedEvents:
        """Return the events among appended records that states remember.

        Raises ValueError for a record that was never appended, or a time that fits no entry.
        """
        kept = [
            (record, record.fact)
            for record in records
            if isinstance(record.fact, Event) and record.fact.type in REMEMBERED
        ]
        places: dict[tuple[IdKind, str], int] = {}
        groups = [places.setdefault(most_durable(event), len(places)) for _, event in kept]
        return cls(list(places), np.array(groups, dtype=np.int32), _entries(kept))

    def until(self, latest: int) -> PackedEvents:
        """Return the events no later than a second since 1970."""
        kept = self.entries["time"] <= latest
        if kept.all():
            return self
        return PackedEvents(self.owners, self.groups[kept], self.entries[kept])


def latest_credible(now: datetime) -> int:
    """Return the second since 1970 behind which no event can be: its clock was wrong."""
    return int((now + MOST_AHEAD).timestamp())


def changes_of(events: PackedEvents, keys: StateKeys) -> list[Change]:
    """Return the changes that these events make, one a customer who has any."""
    states = states_of(events.groups, events.entries, len(events.owners))
    return [
        Change(keys.customer(*owner), state)
        for owner, state in zip(events.owners, states, strict=True)
        if len(state) > HEADER.size
    ]


def states_of(groups: Rows, entries: Entries, n_groups: int) -> list[bytes]:
    """Return, for each group, the bytes of the state that its (n,) entries make."""
    facets = _FACET_OF[kinds_of_entries(entries)]
    order = np.lexsort((entries["what"], entries["tie"], entries["time"], -facets, -groups))[::-1]
    owned = (groups.astype(np.int64) * len(FACETS) + facets)[order]
    entries = entries[order]
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = (owned[1:] != owned[:-1]) | (entries[1:] != entries[:-1])
    owned, entries = owned[first], entries[first]
    newest = places_within(owned) < _LIMITS[owned % len(FACETS)]
    counts = np.bincount(owned[newest], minlength=n_groups * len(FACETS))
    lengths = counts.reshape(n_groups, len(FACETS))
    raw, bounds = entries[newest].tobytes(), offsets_of(lengths.sum(axis=1)) * ENTRY.itemsize
    parts = zip(lengths.tolist(), pairwise(bounds.tolist()), strict=True)
    return [HEADER.pack(*each) + raw[start:end] for each, (start, end) in parts]


def joined(one: bytes, other: bytes) -> bytes:
    """Return the bytes of the state of what is in both."""
    return UserState.from_bytes(one).joined(UserState.from_bytes(other)).to_bytes()


def _entries(kept: Sequence[tuple[Record, Event]]) -> Entries:
    """Return (n,) entries, in the order of the records."""
    if any(record.position < 1 for record, _ in kept):
        raise ValueError("a record without position: append it to the log first")
    n = len(kept)
    times = np.fromiter((microseconds(event.time) for _, event in kept), np.int64, n)
    return packed(
        times // 1_000_000,
        ties_of(times, (event.event_id for _, event in kept)),
        np.fromiter((record.item_row for record, _ in kept), np.int32, n),
        np.fromiter((EVENT_CODES[event.type] for _, event in kept), np.uint8, n),
        np.fromiter((_quantity(event) for _, event in kept), np.float32, n),
    )


def _quantity(event: Event) -> float:
    """Return the number that an entry remembers: the rating of a rating, else pieces."""
    return event.rating or event.quantity
