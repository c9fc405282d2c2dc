"""Records of the log as changes of customers' states: grouped, deduplicated, packed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import Rows, places_within
from recsys.events import EVENT_CODES, Event, Record
from recsys.state import ENTRY, FACETS, Entries, Facet
from serving.state.keys import IdKind, StateKey, StateKeys, most_durable

_MOST_TIME = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Change:
    """What is new about one customer.

    entries: per facet, packed ENTRY bytes: newest first, each key once, at most its limit.
    """

    key: StateKey
    entries: tuple[tuple[Facet, bytes], ...]


@dataclass(frozen=True, slots=True)
class PackedEvents:
    """Many events as columns: the form in which states are made again fast.

    owners: whom events count for, each once: kind of id and id.
    groups: (n,) int32, each event's place in `owners`.
    entries: (n,) ENTRY, in any order.
    """

    owners: Sequence[tuple[IdKind, str]]
    groups: Rows
    entries: Entries


def changes_of(records: Sequence[Record], keys: StateKeys) -> list[Change]:
    """Return the changes that the events among these records make, one a customer.

    Raises ValueError for a record that was never appended, or a time that fits no entry.
    """
    owned = [(record, record.fact) for record in records if isinstance(record.fact, Event)]
    if not owned:
        return []
    places: dict[tuple[IdKind, str], int] = {}
    groups = [places.setdefault(most_durable(event), len(places)) for _, event in owned]
    return changes_of_packed(
        PackedEvents(list(places), np.array(groups, dtype=np.int32), _entries(owned)), keys
    )


def changes_of_packed(events: PackedEvents, keys: StateKeys) -> list[Change]:
    """Return the changes that these events make, one a customer."""
    ordered, entries = _sorted(events.groups, events.entries)
    parts = [_parts(facet, ordered, entries, len(events.owners)) for facet in FACETS]
    names = [keys.customer(*owner) for owner in events.owners]
    return [
        Change(key, tuple((facet, raw) for facet, raw in zip(FACETS, raws, strict=True) if raw))
        for key, *raws in zip(names, *parts, strict=True)
        if any(raws)
    ]


def _entries(owned: Sequence[tuple[Record, Event]]) -> Entries:
    """Return (n,) entries, in the order of the records."""
    n_events = len(owned)
    times = np.fromiter((int(event.time.timestamp()) for _, event in owned), np.int64, n_events)
    positions = np.fromiter((record.position for record, _ in owned), np.int64, n_events)
    rows = np.fromiter((record.item_row for record, _ in owned), np.int64, n_events)
    quantities = np.fromiter((event.quantity for _, event in owned), np.float64, n_events)
    if positions.min() < 1 or rows.min() < 0:
        raise ValueError("a record without position or item row: append it to the log first")
    if times.min() < 0 or times.max() > _MOST_TIME:
        raise ValueError("an event before 1970 or after 2106: check events before the log")
    packed = np.empty(n_events, dtype=ENTRY)
    packed["time"], packed["position"], packed["row"] = times, positions, rows
    packed["kind"] = np.fromiter((EVENT_CODES[e.type] for _, e in owned), np.uint8, n_events)
    packed["quantity"] = np.clip(np.rint(quantities), 1, 255)
    return packed


def _sorted(groups: Rows, entries: Entries) -> tuple[Rows, Entries]:
    """Return groups ascending and each one's entries newest first, each key once.

    Of entries with the same key the later one stays, as in `recsys.state.merged`.
    """
    times, positions = entries["time"].astype(np.int64), entries["position"].astype(np.int64)
    order = np.lexsort((positions, times, -groups))[::-1]
    columns = np.stack((groups[order].astype(np.int64), times[order], positions[order]))
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = np.any(columns[:, 1:] != columns[:, :-1], axis=0)
    return groups[order][first], entries[order][first]


def _parts(facet: Facet, groups: Rows, entries: Entries, n_groups: int) -> list[bytes]:
    """Return, for each group, the packed entries that this facet remembers."""
    remembered: NDArray[np.bool_] = facet.remembers()[entries["kind"]]
    groups, entries = groups[remembered], entries[remembered]
    newest = places_within(groups) < facet.limit
    groups, raw = groups[newest], entries[newest].tobytes()
    bounds = (np.searchsorted(groups, np.arange(n_groups + 1)) * ENTRY.itemsize).tolist()
    return [raw[start:end] for start, end in pairwise(bounds)]
