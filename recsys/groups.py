"""Groups: the variants of one product, and the row that stands for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recsys.arrays import Mask, Rows, frozen
from recsys.ids import UNKNOWN_ROW, Strings, Vocabulary

NO_GROUP = 0
"""Place of the empty name: the group of items alone."""


@dataclass(frozen=True, slots=True)
class Groups:
    """Which group each item is in.

    An item is in the group it names; one that names none is in the group that bears its id, if
    there is one: it is the parent of that group, as is an item that names itself.

    names: of the groups; place 0 is the empty name.
    codes: (n_items,) int32 places in `names`, `NO_GROUP` for an item alone.
    primaries: (n_items,) int32, the row that stands for the item's group: its parent, else its
        lowest row; the row itself for an item alone, -1 for a row whose id is not known.
    parents: (n_items,) bool, whether the item is the parent of its group.
    """

    names: Strings
    codes: Rows
    primaries: Rows
    parents: Mask

    @classmethod
    def of(cls, vocabulary: Vocabulary, named: Sequence[str]) -> Groups:
        """Return the groups of items that name these, in order of their rows; empty for none."""
        names = sorted({"", *named})
        places = {name: place for place, name in enumerate(names)}
        codes = np.fromiter((places[name] for name in named), np.int32, len(named))
        rows = vocabulary.rows(names[1:])
        known = np.flatnonzero(rows != UNKNOWN_ROW)
        alone = codes[rows[known]] == NO_GROUP
        codes[rows[known[alone]]] = known[alone] + 1
        parents = np.zeros(len(codes), dtype=np.bool_)
        itself = codes[rows[known]] == known + 1
        parents[rows[known[itself]]] = True
        primaries = np.arange(len(codes), dtype=np.int32)
        members = np.flatnonzero(codes != NO_GROUP).astype(np.int32)
        primaries[members] = primaries_of(members, codes[members], parents[members])
        return cls(Strings.of(names), frozen(codes), frozen(primaries), frozen(parents))

    def __len__(self) -> int:
        return len(self.codes)


def primaries_of(members: Rows, codes: Rows, parents: Mask) -> Rows:
    """Return the primary of each of these (n,) rows, ascending: whole groups, each by its code."""
    order = np.lexsort((members, ~parents, codes))
    codes = codes[order]
    first = np.ones(len(codes), dtype=np.bool_)
    first[1:] = codes[1:] != codes[:-1]
    primaries = np.empty_like(members)
    primaries[order] = members[order[first]][np.cumsum(first) - 1]
    return primaries
