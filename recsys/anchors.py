"""Anchors: what askers did with the items that brought others, and the brands they bought."""

from __future__ import annotations

import numpy as np

from recsys.arrays import Mask, Rows, keys_of
from recsys.context import Contexts
from recsys.events import EVENT_CODES, EVENT_TYPES, EventType

STRONGEST_FIRST = (
    EventType.PURCHASE,
    EventType.LIKE,
    EventType.RATING,
    EventType.ADD_TO_WISHLIST,
    EventType.ADD_TO_CART,
    EventType.DETAIL_VIEW,
    EventType.CLICK,
)
"""What brings other items, in the order in which it is said of an item; the rest is not."""

_NOTHING = len(STRONGEST_FIRST)
_PLACES = np.full(len(EVENT_TYPES), _NOTHING, dtype=np.int64)
_PLACES[[EVENT_CODES[kind] for kind in STRONGEST_FIRST]] = np.arange(_NOTHING)


def events_with(contexts: Contexts, queries: Rows, rows: Rows) -> list[EventType | None]:
    """Return the strongest thing each (n,) query's asker did with a row; None for row -1."""
    wanted, places = np.unique(keys_of(queries, np.maximum(rows, 0)), return_inverse=True)
    strongest = np.full(len(wanted), _NOTHING, dtype=np.int64)
    for line in (contexts.purchases, contexts.opinions, contexts.history):
        keys = keys_of(line.owners(), line.rows)
        own = np.flatnonzero(np.isin(keys, wanted))
        np.minimum.at(strongest, np.searchsorted(wanted, keys[own]), _PLACES[line.kinds[own]])
    found = np.where(rows < 0, _NOTHING, strongest[places]).tolist()
    return [STRONGEST_FIRST[place] if place < _NOTHING else None for place in found]


def of_bought_brands(contexts: Contexts, brands: Rows, queries: Rows, rows: Rows) -> Mask:
    """Return which (n,) rows are of a brand that their query's asker has bought.

    brands: (n_items,) int32 codes, 0 where unknown.
    """
    bought = keys_of(contexts.purchases.owners(), brands[contexts.purchases.rows])
    found: Mask = (brands[rows] != 0) & np.isin(keys_of(queries, brands[rows]), bought)
    return found
