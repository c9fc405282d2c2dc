"""What is known of one customer: packed entries, bounded, the same in Redis and in replay.

An entry is its twelve bytes and nothing else, and a set of entries is all there is: applying an
event twice, late, out of order, or under another position of the log ends in the same state.
`merged` is the rule; the script that runs inside Redis must equal it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import Kinds, Mask, Rows, Scores, frozen
from recsys.events import EVENT_CODES, EVENT_TYPES, EventType

ENTRY = np.dtype([("time", ">u4"), ("tie", ">u4"), ("what", ">u4")])
"""One remembered event, big-endian so that bytes order as time does.

time: seconds since 1970. tie: the fraction of the second in 1/256, then 24 bits of the event's id.
what: item row in 24 bits (`NO_ROW`: none), then a code of event type and pieces.
"""

_BYTES = f"S{ENTRY.itemsize}"

Entries = NDArray[np.void]
"""(n,) of ENTRY, newest first, each once."""

Ties = NDArray[np.uint32]
"""(n,) what orders, and tells apart, events of the same second."""

NO_ROW = 0xFFFFFF
"""The row of an entry whose event is about no item; the log gives smaller rows only."""

_FIRST_COUNTED = 64
# Types whose pieces are remembered: the code of two pieces, and the most. One piece is the type's
# own code. Append-only, since state in Redis holds these codes; 249 is the next that is free.
_COUNTED = (
    (EventType.PURCHASE, _FIRST_COUNTED, 128),
    (EventType.REFUND, 191, 32),
    (EventType.ADD_TO_CART, 222, 24),
    (EventType.RATING, 245, 5),
)


@dataclass(frozen=True, slots=True)
class Facet:
    """One bounded set inside a customer's state.

    name: as it is spoken of. kinds: event types it remembers.
    limit: most entries; the newest stay.
    """

    name: str
    kinds: frozenset[EventType]
    limit: int

    def remembers(self) -> Mask:
        """Return, by event code, whether this facet keeps events of that type."""
        return np.array([kind in self.kinds for kind in EVENT_TYPES])


HISTORY = Facet(
    "history",
    frozenset(
        {
            EventType.CLICK,
            EventType.DETAIL_VIEW,
            EventType.ADD_TO_CART,
            EventType.REMOVE_FROM_CART,
            EventType.ADD_TO_WISHLIST,
            EventType.REMOVE_FROM_WISHLIST,
        }
    ),
    200,
)
PURCHASES = Facet("purchases", frozenset({EventType.PURCHASE, EventType.REFUND}), 1_024)
OPINIONS = Facet("opinions", frozenset({EventType.LIKE, EventType.HIDE, EventType.RATING}), 500)
CONSENTS = Facet("consents", frozenset({EventType.UNSUBSCRIBE}), 8)
SHOWN = Facet("shown", frozenset({EventType.IMPRESSION}), 100)
MAILED = Facet(
    "mailed",
    frozenset({EventType.EMAIL_SENT, EventType.EMAIL_OPENED, EventType.EMAIL_CLICKED}),
    50,
)

FACETS = (HISTORY, PURCHASES, OPINIONS, CONSENTS, SHOWN, MAILED)
"""The sets of a state, in their order in its bytes; append-only. No type is in two of them."""

HEADER = struct.Struct(f">{len(FACETS)}H")
"""How the bytes of a state begin: the number of entries of each facet."""


def no_entries() -> Entries:
    """Return the empty set."""
    return frozen(np.empty(0, dtype=ENTRY))


def packed(
    seconds: NDArray[np.int64], ties: Ties, rows: Rows, kinds: Kinds, quantities: Scores
) -> Entries:
    """Return (n,) events as entries, in their order.

    rows: -1 for no item. quantities: pieces, or a rating; rounded, and cut to what a code holds.
    Raises ValueError for a time or a row that fits no entry.
    """
    if len(seconds) and not (seconds.min() >= 0 and seconds.max() < 2**32):
        raise ValueError("an event before 1970 or after 2106: check events before the log")
    if len(rows) and not (rows.min() >= -1 and rows.max() < NO_ROW):
        raise ValueError(f"an item row outside -1 to {NO_ROW - 1}")
    found = np.empty(len(seconds), dtype=ENTRY)
    found["time"], found["tie"] = seconds, ties
    found["what"] = whats(rows, kinds, quantities)
    return found


def whats(rows: Rows, kinds: Kinds, quantities: Scores) -> NDArray[np.uint32]:
    """Return (n,) item rows and codes as entries hold them; -1 becomes `NO_ROW`."""
    pieces = np.clip(np.rint(quantities), 1, _MOST_PIECES[kinds]).astype(np.uint32)
    codes = np.where(pieces > 1, _SECOND_CODES[kinds] + pieces - 2, kinds).astype(np.uint32)
    found: NDArray[np.uint32] = ((rows & np.int64(NO_ROW)) << 8 | codes).astype(np.uint32)
    return found


def rows_of_entries(entries: Entries) -> Rows:
    """Return (n,) item rows; `NO_ROW` where an entry is about no item."""
    rows: Rows = (entries["what"] >> 8).astype(np.int32)
    return rows


def kinds_of_entries(entries: Entries) -> Kinds:
    """Return (n,) codes of event types."""
    kinds: Kinds = _KINDS[entries["what"] & 0xFF]
    return kinds


def quantities_of_entries(entries: Entries) -> Scores:
    """Return (n,) pieces; of ratings, the rating."""
    return quantities_of_whats(entries["what"])


def quantities_of_whats(found: NDArray[np.uint32]) -> Scores:
    """Return (n,) pieces behind the codes that `whats` made."""
    quantities: Scores = _PIECES[found & 0xFF]
    return quantities


def ties_of(microseconds: NDArray[np.int64], event_ids: Iterable[str]) -> Ties:
    """Return the ties of events with these times since 1970 and these ids.

    The first byte is the fraction of the second, so that what follows within it stays in order.
    """
    fractions = (microseconds % 1_000_000) * 256 // 1_000_000
    hashed = np.fromiter(
        (crc32(event_id.encode()) for event_id in event_ids), np.uint32, len(microseconds)
    )
    ties: Ties = (fractions << 24 | (hashed & 0xFFFFFF)).astype(np.uint32)
    return ties


def newest_first(entries: Entries) -> Entries:
    """Return the entries in their order, each once."""
    ordered = np.sort(entries.view(_BYTES))[::-1]  # a third of the time that sorting fields takes
    first = np.ones(len(ordered), dtype=np.bool_)
    first[1:] = ordered[1:] != ordered[:-1]
    return ordered[first].view(ENTRY)


def merged(first: Entries, second: Entries, limit: int) -> Entries:
    """Return both sets as one: newest first, each entry once, at most `limit`."""
    both: Entries = np.concatenate((first, second), dtype=ENTRY)  # else numpy turns the bytes round
    return newest_first(both)[:limit]


@dataclass(frozen=True, slots=True)
class UserState:
    """All that serving remembers of whoever asks.

    history: the newest steps of browsing: clicks, views, carts, wish lists.
    purchases: the newest purchases, and refunds; they outlive the history.
    opinions: likes, hides and ratings; an item's newest one counts.
    consents: when e-mails were unsubscribed from.
    shown: the newest impressions of items. mailed: the newest e-mails sent, opened and clicked,
        some of them about an item.
    """

    history: Entries
    purchases: Entries
    opinions: Entries
    consents: Entries
    shown: Entries
    mailed: Entries

    @classmethod
    def unknown(cls) -> Self:
        """Return the state of somebody never seen."""
        return cls(*(no_entries() for _ in FACETS))

    @classmethod
    def from_bytes(cls, value: bytes) -> Self:
        """Return the state that `to_bytes` wrote. Raises ValueError for bytes that are none."""
        if len(value) < HEADER.size:
            raise ValueError(f"{len(value)} bytes are no state")
        lengths = HEADER.unpack_from(value)
        if len(value) != HEADER.size + sum(lengths) * ENTRY.itemsize:
            raise ValueError(f"{len(value)} bytes do not hold {lengths} entries")
        entries = frozen(np.frombuffer(value, dtype=ENTRY, offset=HEADER.size))
        ends = np.cumsum(lengths)
        return cls(*(entries[end - n : end] for n, end in zip(lengths, ends.tolist(), strict=True)))

    def to_bytes(self) -> bytes:
        """Return the state as it is kept: how many entries each facet has, then all of them."""
        return b"".join(
            (HEADER.pack(*map(len, self.facets)), *(entries.tobytes() for entries in self.facets))
        )

    @property
    def facets(self) -> tuple[Entries, ...]:
        """The sets, in the order of `FACETS`."""
        return (
            self.history,
            self.purchases,
            self.opinions,
            self.consents,
            self.shown,
            self.mailed,
        )

    @property
    def unsubscribed(self) -> bool:
        """Whether the customer asked not to be written to by e-mail."""
        return bool(len(self.consents))

    def joined(self, other: Self) -> Self:
        """Return what is known under both ids, as of one customer."""
        return type(self)(
            *(
                _in_either(mine, theirs, facet.limit)
                for facet, mine, theirs in zip(FACETS, self.facets, other.facets, strict=True)
            )
        )

    def __bool__(self) -> bool:
        return any(map(len, self.facets))


def _in_either(mine: Entries, theirs: Entries, limit: int) -> Entries:
    """Return `merged` of two facets, which have their order."""
    if len(mine) and len(theirs):
        return merged(mine, theirs, limit)
    return mine if len(mine) else theirs


def _tables() -> Sequence[NDArray[np.uint32]]:
    """Return, by code: event type and pieces; by event type: the code of two pieces, the most."""
    kinds = np.arange(256, dtype=np.uint32)
    kinds[_FIRST_COUNTED:] = 0
    pieces = np.ones(256, dtype=np.uint32)
    second = np.zeros(len(EVENT_TYPES), dtype=np.uint32)
    most = np.ones(len(EVENT_TYPES), dtype=np.uint32)
    for kind, first, limit in _COUNTED:
        code = EVENT_CODES[kind]
        second[code], most[code] = first, limit
        kinds[first : first + limit - 1] = code
        pieces[first : first + limit - 1] = np.arange(2, limit + 1)
    return kinds, pieces, second, most


_by_code = _tables()
_KINDS: Kinds = frozen(_by_code[0].astype(np.uint8))
_PIECES: Scores = frozen(_by_code[1].astype(np.float32))
_SECOND_CODES = frozen(_by_code[2])
_MOST_PIECES = frozen(_by_code[3])
