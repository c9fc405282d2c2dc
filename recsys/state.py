"""What is known of one customer: packed entries, bounded, the same in Redis and in replay.

Every set is keyed by (time, position), so applying records twice, late or out of order ends
in the same state. `merged` is the rule; the script that runs inside Redis must equal it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import frozen
from recsys.events import EVENT_CODES, EVENT_TYPES, EventType

ENTRY = np.dtype(
    [("time", ">u4"), ("position", ">u8"), ("row", ">u4"), ("kind", "u1"), ("quantity", "u1")]
)
"""One remembered event: seconds since 1970, position in the log, item row, code of the event type,
pieces (1 to 255). Big-endian, so that bytes order as (time, position) does."""

KEY_BYTES = 12
"""The leading bytes of an entry that name it: time and position."""

Entries = NDArray[np.void]
"""(n,) of ENTRY, newest first, each key once."""


@dataclass(frozen=True, slots=True)
class Facet:
    """One bounded set inside a customer's state.

    name: its field in the store.
    kinds: event types it remembers.
    limit: most entries; the newest stay.
    """

    name: str
    kinds: frozenset[EventType]
    limit: int

    def remembers(self) -> NDArray[np.bool_]:
        """Return, by event code, whether this facet keeps events of that type."""
        return np.array([kind in self.kinds for kind in EVENT_TYPES])


HISTORY = Facet("history", frozenset(EventType) - {EventType.IMPRESSION}, 200)
PURCHASES = Facet("purchases", frozenset({EventType.PURCHASE}), 1_024)
OPINIONS = Facet("opinions", frozenset({EventType.LIKE, EventType.HIDE}), 500)

FACETS = (HISTORY, PURCHASES, OPINIONS)


def no_entries() -> Entries:
    """Return the empty set."""
    return frozen(np.empty(0, dtype=ENTRY))


def entry(kind: EventType, *, time: int, position: int, row: int, quantity: float = 1.0) -> bytes:
    """Return one event as the bytes of an ENTRY; quantities outside 1 to 255 are cut."""
    pieces = min(max(round(quantity), 1), 255)
    return np.array([(time, position, row, EVENT_CODES[kind], pieces)], dtype=ENTRY).tobytes()


def merged(first: Entries, second: Entries, limit: int) -> Entries:
    """Return both sets as one: newest first, each (time, position) once, at most `limit`."""
    both = np.concatenate((first, second))
    order = np.lexsort((both["position"], both["time"]))[::-1]
    both = both[order]
    repeated = (both["time"][1:] == both["time"][:-1]) & (
        both["position"][1:] == both["position"][:-1]
    )
    return both[np.concatenate(([True], ~repeated))][:limit] if len(both) else both


@dataclass(frozen=True, slots=True)
class UserState:
    """All that serving remembers of whoever asks.

    history: the newest events of every kind but impressions.
    purchases: the newest purchases; they outlive the history.
    opinions: likes and hides; an item's newest one counts.
    """

    history: Entries
    purchases: Entries
    opinions: Entries

    @classmethod
    def unknown(cls) -> Self:
        """Return the state of somebody never seen."""
        return cls(no_entries(), no_entries(), no_entries())

    def joined(self, other: Self) -> Self:
        """Return what is known under both ids, as of one customer."""
        return type(self)(
            merged(self.history, other.history, HISTORY.limit),
            merged(self.purchases, other.purchases, PURCHASES.limit),
            merged(self.opinions, other.opinions, OPINIONS.limit),
        )

    def __bool__(self) -> bool:
        return bool(len(self.history) or len(self.purchases) or len(self.opinions))
