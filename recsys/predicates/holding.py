"""Which of some texts an item's text or list holds."""

from __future__ import annotations

from collections.abc import Collection
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import Mask, Rows
from recsys.predicates.columns import Columns, Lists, Texts, Truth
from recsys.predicates.values import Numbers

# Up to this many are compared one by one, which is faster than looking up each item's own.
_FEW = 8


def among(columns: Columns, texts: str | Texts, wanted: Collection[str], *, again: bool) -> Truth:
    """Return where a text is one of those wanted.

    again: whether others will be wanted of the column, so that a dictionary is worth its room.
    """
    if isinstance(texts, str):
        return np.bool_(texts != "" and texts in wanted)
    codes = columns.codes(texts, filter(None, wanted), again=again)
    return _among(texts.codes, codes, len(texts.names))


def numbers_among(numbers: np.float64 | Numbers, wanted: Numbers) -> Truth:
    """Return where a number is one of those wanted; unknown ones are none."""
    known = np.unique(wanted[~np.isnan(wanted)])
    if len(known) <= _FEW:
        found: Truth = np.bool_(False)
        for one in known:
            found = found | (numbers == one)
        return found
    places = np.minimum(np.searchsorted(known, numbers), len(known) - 1)
    return np.equal(known[places], numbers)


def holding(
    columns: Columns, lists: Lists, wanted: Collection[str], *, in_full: bool, again: bool
) -> Mask:
    """Return where a list holds one of the texts, or all of them; see `among` for `again`.

    wanted: an empty one is unknown, and in no list; none at all are held by no list.
    """
    codes = columns.codes(lists, filter(None, wanted), again=again)
    if in_full and len(codes) < max(len(set(wanted)), 1):
        return np.zeros(len(lists.lengths), dtype=np.bool_)
    hits = np.flatnonzero(_among(lists.codes, codes, len(lists.names)))
    if in_full and len(codes) > 1:
        return _with_all(lists, hits, codes)
    found = np.zeros(len(lists.lengths), dtype=np.bool_)
    found[lists.owners[hits]] = True
    return found


def _with_all(lists: Lists, hits: NDArray[np.int64], codes: Rows) -> Mask:
    """Return where the entries at `hits` give an item all of the codes, ascending."""
    ranks = np.searchsorted(codes, lists.codes[hits])
    # A text that stands in a list twice counts once.
    pairs = np.unique(lists.owners[hits] * np.int64(len(codes)) + ranks)
    counts = np.bincount(pairs // len(codes), minlength=len(lists.lengths))
    found: Mask = counts == len(codes)
    return found


def _among(column: Rows, codes: Rows, n: int) -> Mask:
    """Return where a column has one of these codes, of which there are `n` in all."""
    if 0 < len(codes) <= _FEW:
        return reduce(np.logical_or, (column == code for code in codes))
    marked = np.zeros(n, dtype=np.bool_)
    marked[codes] = True
    found: Mask = marked[column]
    return found
