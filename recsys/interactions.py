"""Everything that happened, as columns: what models are fitted on and replayed against."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import Kinds, Mask, Rows, Scores, Times, keys_of
from recsys.events import EVENT_CODES, EventType
from recsys.refunds import PURCHASE, REFUND, kept_pieces
from recsys.state import Ties

BREAK = np.timedelta64(30, "m")
"""A session ends where its customer does nothing for longer (Catledge, Pitkow 1995: 25.5 minutes;
web analytics has rounded it up since)."""


@dataclass(frozen=True, slots=True)
class Interactions:
    """Events as parallel columns, in time order.

    users: (n_events,) int32, 0 to n_users - 1.
    items: (n_events,) int32 item rows, 0 to n_items - 1; an event without an item is not here.
    kinds: (n_events,) uint8 codes of event types.
    quantities: (n_events,) float32 pieces, > 0.
    times: (n_events,) datetime64[s], UTC, ascending.
    ties: (n_events,) uint32, what orders events of the same second (`recsys.state.ties_of`).
    baskets: (n_events,) int32; events of one order, or of one user and day, share a number.
    """

    users: Rows
    items: Rows
    kinds: Kinds
    quantities: Scores
    times: Times
    ties: Ties
    baskets: Rows
    n_users: int
    n_items: int

    def __post_init__(self) -> None:
        columns = (
            self.items,
            self.kinds,
            self.quantities,
            self.times,
            self.ties,
            self.baskets,
        )
        if any(len(column) != len(self.users) for column in columns):
            raise ValueError(f"columns of unequal length: {[len(column) for column in columns]}")
        if np.any(self.times[1:] < self.times[:-1]):
            raise ValueError("events are not in time order")

    def __len__(self) -> int:
        return len(self.users)

    def take(self, chosen: Mask | NDArray[np.int64] | slice) -> Self:
        """Return the chosen events, which keep their order; of a slice nothing is copied."""
        return type(self)(
            self.users[chosen],
            self.items[chosen],
            self.kinds[chosen],
            self.quantities[chosen],
            self.times[chosen],
            self.ties[chosen],
            self.baskets[chosen],
            self.n_users,
            self.n_items,
        )

    def before(self, instant: np.datetime64) -> Self:
        """Return the events before an instant."""
        return self.take(slice(None, int(np.searchsorted(self.times, instant))))

    def since(self, instant: np.datetime64) -> Self:
        """Return the events at or after an instant."""
        return self.take(slice(int(np.searchsorted(self.times, instant)), None))

    def of_kind(self, *kinds: EventType) -> Self:
        """Return the events of these types."""
        return self.take(np.isin(self.kinds, [EVENT_CODES[kind] for kind in kinds]))

    def sessions(self) -> Rows:
        """Return (n_events,) the number of each event's session; those of one user ascend in time.

        A session is what one user did without a break longer than `BREAK`.
        """
        order = np.argsort(self.users, kind="stable")
        users, times = self.users[order], self.times[order]
        begins = (users[1:] != users[:-1]) | (times[1:] - times[:-1] > BREAK)
        numbers = np.zeros(len(self), dtype=np.int32)
        numbers[order[1:]] = np.cumsum(begins)
        return numbers

    def settled(self) -> Self:
        """Return the events without refunds, and without what those took back of purchases."""
        trade = np.flatnonzero((self.kinds == PURCHASE) | (self.kinds == REFUND))
        if not np.any(self.kinds[trade] == REFUND):
            return self
        keys = keys_of(self.users[trade], self.items[trade])
        newest_first = np.lexsort((-np.arange(len(trade)), keys))
        order = trade[newest_first]
        quantities = self.quantities.copy()
        quantities[order] = kept_pieces(keys[newest_first], self.kinds[order], quantities[order])
        return replace(self, quantities=quantities).take(quantities > 0)


def rolled_up(interactions: Interactions, primaries: Rows) -> Interactions:
    """Return the same events on the products that the items are variants of.

    primaries: (n_items,) int32, the row that stands for each item (`Catalog.primaries`).
    """
    return replace(interactions, items=primaries[interactions.items])
