"""Wishes: what pins and quotas ask of a list, over the rows of one catalog."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recsys.arrays import Mask, Rows
from recsys.ids import ItemId
from recsys.rules.rule import Amount


@dataclass(frozen=True, slots=True)
class Pinned:
    """An item that is to hold a position, from 1.

    row: the product's; -1 where the catalog knows no such item.
    """

    rule: str
    item_id: ItemId
    row: int
    position: int

    def broken(self, rows: Sequence[int]) -> str:
        """Return why a list of these rows does not keep this; empty where it does."""
        if self.position <= len(rows) and rows[self.position - 1] == self.row:
            return ""
        if self.row < 0:
            return f"the catalog has no item {self.item_id}"
        if self.position > len(rows):
            return f"position {self.position} is behind the end of a list of {len(rows)}"
        return f"{self.item_id} may not be shown here, or stands in an earlier list of the page"


@dataclass(frozen=True, slots=True)
class Quota:
    """How many items of some kind a list is to hold.

    groups: (n_items,) int32, 0 for items that do not count. `at_most` holds for the items of each
        number by themselves, `at_least` for all that count.
    """

    rule: str
    groups: Rows
    at_least: Amount | None
    at_most: Amount | None

    @property
    def counted(self) -> Mask:
        """(n_items,) which items count."""
        counted: Mask = self.groups > 0
        return counted

    def fewest(self, n_items: int) -> int:
        """Return how many a list of so many has to hold."""
        return self.at_least.at_least(n_items) if self.at_least else 0

    def most(self, n_items: int) -> int:
        """Return how many of each group a list of so many may hold."""
        return self.at_most.at_most(n_items) if self.at_most else n_items

    def broken(self, rows: Sequence[int]) -> str:
        """Return why a list of these rows does not keep this; empty where it does."""
        counts = np.bincount(self.groups[list(rows)], minlength=2)[1:] if rows else np.zeros(1, int)
        n_items, fewest, most = len(rows), self.fewest(len(rows)), self.most(len(rows))
        if counts.sum() < fewest:
            return f"{counts.sum()} of {n_items} items, wanted at least {fewest}"
        if counts.max() > most:
            return f"{counts.max()} of {n_items} items, wanted at most {most}"
        return ""


Wish = Pinned | Quota
