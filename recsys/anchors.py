"""Anchors: what askers did with the items that brought others, and the brands they bought."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import Keys, Mask, Rows, keys_of
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

_NO_PAIR = np.int64(np.iinfo(np.int64).max)
_NOTHING = len(STRONGEST_FIRST)
_PLACES = np.full(len(EVENT_TYPES), _NOTHING, dtype=np.int64)
_PLACES[[EVENT_CODES[kind] for kind in STRONGEST_FIRST]] = np.arange(_NOTHING)


def events_with(contexts: Contexts, queries: Rows, rows: Rows) -> list[EventType | None]:
    """Return the strongest thing each (n,) query's asker did with a row; None for row -1."""
    keys, strongest = contexts.once(events_with, "strongest", lambda: _strongest(contexts))
    wanted = keys_of(queries, np.maximum(rows, 0))
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    done = (rows >= 0) & (keys[places] == wanted)
    found = np.where(done, strongest[places], _NOTHING).tolist()
    return [STRONGEST_FIRST[place] if place < _NOTHING else None for place in found]


def of_bought_brands(contexts: Contexts, brands: Rows, queries: Rows, rows: Rows) -> Mask:
    """Return which (n,) rows are of a brand that their query's asker has bought.

    brands: (n_items,) int32 codes, 0 where unknown.
    """
    bought = contexts.once(brands, "bought brands", lambda: _brands_bought(contexts, brands))
    found: Mask = (brands[rows] != 0) & np.isin(keys_of(queries, brands[rows]), bought)
    return found


def _strongest(contexts: Contexts) -> tuple[Keys, NDArray[np.int64]]:
    """Return the pairs of asker and row, ascending, and the strongest thing done in each.

    A pair that cannot be stands behind them, so that there is always one.
    """
    lines = (contexts.purchases, contexts.opinions, contexts.history)
    keys = np.concatenate([keys_of(line.owners(), line.rows) for line in lines])
    places = np.concatenate([_PLACES[line.kinds] for line in lines])
    order = np.lexsort((places, keys))
    pairs, first = np.unique(keys[order], return_index=True)
    return np.append(pairs, _NO_PAIR), np.append(places[order][first], _NOTHING)


def _brands_bought(contexts: Contexts, brands: Rows) -> Keys:
    """Return the pairs of asker and brand code of all purchases, each once."""
    return np.unique(keys_of(contexts.purchases.owners(), brands[contexts.purchases.rows]))
