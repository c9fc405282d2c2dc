"""What a customer did lately, as people ask for it: views, purchases, the cart left behind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import Kinds, Mask, Rows
from recsys.events import EVENT_CODES, EVENT_TYPES, EventType
from recsys.state import (
    NO_ROW,
    Entries,
    UserState,
    kinds_of_entries,
    quantities_of_entries,
    rows_of_entries,
)

Instants = NDArray[np.uint64]
"""(n,) times as whole numbers of 1/256 second since 1970."""


@dataclass(frozen=True, slots=True)
class Trace:
    """One thing that a customer did.

    row: of the item; -1 where there is none. second: since 1970. pieces: 1 where it has none.
    """

    kind: EventType
    row: int
    second: int
    pieces: int


def traces_of(entries: Entries, most: int) -> list[Trace]:
    """Return the newest entries of one facet, newest first."""
    return _traces(entries[:most], quantities_of_entries(entries[:most]).astype(np.int64))


def last_views(state: UserState, most: int) -> list[Trace]:
    """Return the items that were looked at last, each once, newest first."""
    looked = _of_kinds(state.history, (EventType.DETAIL_VIEW, EventType.CLICK))
    return traces_of(_newest_of_each(state.history[looked]), most)


def last_purchases(state: UserState, most: int) -> list[Trace]:
    """Return the last purchases, newest first, whether or not they were given back."""
    return traces_of(state.purchases[_of_kinds(state.purchases, (EventType.PURCHASE,))], most)


def cart_left_behind(state: UserState) -> list[Trace]:
    """Return what was put into a cart, not taken out, and not bought since; newest first.

    Pieces are those that were added since the item was last taken out or bought. Of the same
    instant, what ends a cart counts as the later.
    """
    added = state.history[_of_kinds(state.history, (EventType.ADD_TO_CART,))]
    ended = _joined(
        state.history[_of_kinds(state.history, (EventType.REMOVE_FROM_CART,))],
        state.purchases[_of_kinds(state.purchases, (EventType.PURCHASE,))],
    )
    open_still = added[_instants(added) > _ends(rows_of_entries(added), ended)]
    rows, places = np.unique(rows_of_entries(open_still), return_inverse=True)
    pieces = np.bincount(places, weights=quantities_of_entries(open_still), minlength=len(rows))
    newest = _newest_of_each(open_still)
    of_newest = np.searchsorted(rows, rows_of_entries(newest))
    return _traces(newest, pieces[of_newest].astype(np.int64))


def seen_between(state: UserState) -> tuple[int, int] | None:
    """Return the first and the last second that is remembered, None where nothing is."""
    seconds = np.concatenate([facet["time"] for facet in state.facets]).astype(np.int64)
    return (int(seconds.min()), int(seconds.max())) if len(seconds) else None


def _ends(rows: Rows, ended: Entries) -> Instants:
    """Return, of each of these (n,) rows, the last instant at which a cart with it ended, or 0."""
    known, places = np.unique(np.concatenate((rows_of_entries(ended), rows)), return_inverse=True)
    last = np.zeros(len(known), dtype=np.uint64)
    np.maximum.at(last, places[: len(ended)], _instants(ended))
    found: Instants = last[places[len(ended) :]]
    return found


def _traces(entries: Entries, pieces: NDArray[np.int64]) -> list[Trace]:
    rows = rows_of_entries(entries)
    columns = (
        kinds_of_entries(entries).tolist(),
        np.where(rows == NO_ROW, -1, rows).tolist(),
        entries["time"].tolist(),
        pieces.tolist(),
    )
    return [Trace(EVENT_TYPES[kind], *rest) for kind, *rest in zip(*columns, strict=True)]


def _newest_of_each(entries: Entries) -> Entries:
    """Return the newest entry of each row, newest first."""
    _, first = np.unique(rows_of_entries(entries), return_index=True)
    return entries[np.sort(first)]


def _of_kinds(entries: Entries, kinds: Iterable[EventType]) -> Mask:
    codes: Kinds = np.array([EVENT_CODES[kind] for kind in kinds], dtype=np.uint8)
    return np.isin(kinds_of_entries(entries), codes)


def _joined(one: Entries, other: Entries) -> Entries:
    return np.concatenate((one, other), dtype=one.dtype)


def _instants(entries: Entries) -> Instants:
    ticks = entries["tie"].astype(np.uint64) >> np.uint64(24)
    found: Instants = (entries["time"].astype(np.uint64) << np.uint64(8)) | ticks
    return found
