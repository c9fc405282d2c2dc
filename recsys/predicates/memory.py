"""What was computed of a catalog before, kept for the next question."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from recsys.predicates.values import ItemValues

T = TypeVar("T")


class MaskMemory:
    """Masks and columns by the catalog and the part of a filter that they are the value of.

    Holds the `most` used last: a mask takes a byte an item, a column of quantities eight. Entries
    keep their catalog alive, so it is best held beside the catalog and replaced with it. Not for
    several threads.
    """

    def __init__(self, most: int = 256) -> None:
        self.most = most
        self._kept: OrderedDict[tuple[int, str, Hashable], tuple[ItemValues, Any]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def once(self, items: ItemValues, kind: str, name: Hashable, compute: Callable[[], T]) -> T:
        """Return what was computed before for this kind and name, else compute and keep it."""
        key = (id(items), kind, name)
        if key in self._kept:
            self._kept.move_to_end(key)
            kept: T = self._kept[key][1]
            return kept
        value = compute()
        if self.most:
            # The catalog is kept as well: while it lives, no other can get its identity.
            self._kept[key] = (items, value)
            while len(self._kept) > self.most:
                self._kept.popitem(last=False)
        return value
