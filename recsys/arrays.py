"""Array aliases. A name says what the numbers mean; the docstring at the edge says their shape."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int32]
"""Positions of items (or users, queries) in arrays; an item's row is its number for good."""

Scores = NDArray[np.float32]
"""A model's opinions, or the importance of events; higher is more."""

Mask = NDArray[np.bool_]
"""True where an item may be used."""

Vectors = NDArray[np.float32]
"""(n, dim) vectors, one a row."""

Times = NDArray[np.datetime64]
"""datetime64[s], UTC."""

Offsets = NDArray[np.int64]
"""(n + 1,) bounds of ragged lists laid end to end: list i is [offsets[i], offsets[i + 1])."""

Seconds = NDArray[np.int64]
"""Instants as whole seconds since 1970, UTC."""

Kinds = NDArray[np.uint8]
"""Event types by their code (`recsys.events.EVENT_TYPES`)."""

Keys = NDArray[np.int64]
"""Pairs of owner (a query or user) and row as one number each, `owner << 32 | row`."""

A = TypeVar("A", bound=NDArray[Any])

SECONDS_A_DAY = 86_400.0


def frozen(array: A) -> A:
    """Return the array itself, marked read-only."""
    array.flags.writeable = False
    return array


def offsets_of(lengths: NDArray[np.integer]) -> Offsets:
    """Return the (n + 1,) bounds of lists of these (n,) lengths laid end to end."""
    bounds = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=bounds[1:])
    return bounds


def owners(offsets: Offsets) -> Rows:
    """Return, for each entry of ragged lists, the place of the list that holds it."""
    lengths = offsets[1:] - offsets[:-1]
    return np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)


def keys_of(owners: Rows, rows: Rows) -> Keys:
    """Return (n,) pairs of owner and row as one number each; rows from 0 to 2^31 - 1."""
    return owners.astype(np.int64) << 32 | rows


def owners_of(keys: Keys) -> Rows:
    """Return the owner of each pair."""
    return (keys >> 32).astype(np.int32)


def rows_of(keys: Keys) -> Rows:
    """Return the row of each pair."""
    return (keys & 0xFFFFFFFF).astype(np.int32)


def places_within(groups: Rows | Keys) -> NDArray[np.int64]:
    """Return each entry's place 0, 1, 2, ... within its run of equal `groups` (sorted)."""
    return np.arange(groups.size) - np.searchsorted(groups, groups)


def looked_up(pairs: Keys, values: A, wanted: Keys) -> A:
    """Return the value of each wanted pair, 0 where it is not among `pairs`, which ascend."""
    found: Any = np.zeros(len(wanted), dtype=values.dtype)
    if len(pairs):
        places = np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)
        known = pairs[places] == wanted
        found[known] = values[places[known]]
    looked: A = found
    return looked


def written(column: A, places: NDArray[np.integer], values: A) -> A:
    """Return the column with other values at these (m,) places; itself where they are the same."""
    if np.array_equal(column[places], values, equal_nan=True):
        return column
    new: A = column.copy()
    new[places] = values
    return frozen(new)


def lengthened(column: A, n: int, value: object) -> A:
    """Return the column with `n` entries, `value` behind those it has; itself where it has `n`."""
    if len(column) == n:
        return column
    behind = np.full((n - len(column), *column.shape[1:]), value, dtype=column.dtype)
    longer: Any = np.concatenate((column, behind))
    lengthened: A = frozen(longer)
    return lengthened


def entries_of(offsets: Offsets, lists: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the places of the entries of these (m,) ragged lists, list by list."""
    starts, lengths = offsets[lists], offsets[lists + 1] - offsets[lists]
    bounds = offsets_of(lengths)
    places: NDArray[np.int64] = np.arange(bounds[-1]) + np.repeat(starts - bounds[:-1], lengths)
    return places
