"""Lists: codes of different number for each item, laid end to end, some of which may change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Self

import numpy as np

from recsys.arrays import Mask, Offsets, Rows, entries_of, frozen, offsets_of, written


@dataclass(frozen=True, slots=True)
class Lists:
    """Codes of different number for each item, in an order that is kept.

    offsets: (n_items + 1,) int64 bounds. codes: (n,) int32.
    """

    offsets: Offsets
    codes: Rows

    def __post_init__(self) -> None:
        if len(self.codes) != self.offsets[-1]:
            raise ValueError(f"{len(self.codes)} codes for bounds up to {self.offsets[-1]}")

    @classmethod
    def of(cls, lengths: Sequence[int], codes: Rows) -> Self:
        """Return the lists of these lengths, laid end to end."""
        return cls(frozen(offsets_of(np.array(lengths, dtype=np.int64))), frozen(codes))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def at(self, row: int) -> Rows:
        """Return one item's codes."""
        return self.codes[self.offsets[row] : self.offsets[row + 1]]

    def of_rows(self, rows: Rows) -> Self:
        """Return the lists of these (m,) rows, in their order."""
        codes = self.codes[entries_of(self.offsets, rows)]
        return type(self)(offsets_of(self.offsets[rows + 1] - self.offsets[rows]), codes)

    def narrowed(self, chosen: Mask, codes: Rows) -> Self:
        """Return the lists without the codes where the (n,) mask is false.

        codes: of those that stay, in their order; what they are called from now on.
        """
        before = np.zeros(len(chosen) + 1, dtype=np.int64)
        np.cumsum(chosen, out=before[1:])
        return type(self)(frozen(before[self.offsets]), frozen(codes))

    def firsts(self, nothing: int) -> Rows:
        """Return (n_items,) the first code of each list, `nothing` where it is empty."""
        first = np.full(len(self), nothing, dtype=np.int32)
        some = self.offsets[1:] > self.offsets[:-1]
        first[some] = self.codes[self.offsets[:-1][some]]
        return first

    def replaced(self, rows: Rows, lists: Self, n_items: int) -> Self:
        """Return the lists of `n_items` items, in which these (m,) rows have those of `lists`.

        What stays the same is shared. rows: ascending, each once. n_items: no fewer than now.
        """
        grown = self._longer(n_items)
        places = entries_of(grown.offsets, rows)
        lengths = np.diff(lists.offsets)
        if np.array_equal(grown.offsets[rows + 1] - grown.offsets[rows], lengths):
            codes = written(grown.codes, places, lists.codes)
            return grown if codes is grown.codes else replace(grown, codes=codes)
        every = np.diff(grown.offsets)
        every[rows] = lengths
        return type(self)(frozen(offsets_of(every)), frozen(_spliced(grown, rows, lists)))

    def _longer(self, n_items: int) -> Self:
        more = n_items - len(self)
        if not more:
            return self
        bounds = np.concatenate((self.offsets, np.full(more, self.offsets[-1])))
        return replace(self, offsets=frozen(bounds))


def _spliced(old: Lists, rows: Rows, lists: Lists) -> Rows:
    """Return the old codes with those of these rows exchanged."""
    first = np.flatnonzero(np.diff(rows, prepend=-2) != 1)  # of each run of rows side by side
    last = np.append(first[1:], len(rows)) - 1
    cuts = np.stack((old.offsets[rows[first]], old.offsets[rows[last] + 1]), axis=1)
    stay = np.split(old.codes, cuts.ravel())[::2]
    come = np.split(lists.codes, lists.offsets[first[1:]])
    return np.concatenate([*chain.from_iterable(zip(stay, come, strict=False)), stay[-1]])
