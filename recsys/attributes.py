"""Attributes: what items say of themselves in the shop's own words, as ragged columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Self

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import Rows, frozen, lengthened, written
from recsys.ids import UNKNOWN_ROW
from recsys.items import Attribute
from recsys.lists import Lists
from recsys.memory import remembered
from recsys.pairs import Numbers, Pairs
from recsys.texts import Texts

MOST_REMEMBERED = 16
"""Names whose columns are kept at a time, of values and of numbers each: those asked for last."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """The attributes of each item, in the order in which it names them.

    pairs: the distinct pairs of name and value. of_items: codes of them.
    uses: (n_names,) int64, how often items use each name. words: (n_names,) int64, how often with a
        value that is no number.
    lists_kept, numbers_kept: columns of names asked for, by the name. They are memories, which
        change no answer, and go over into what the attributes become.
    """

    pairs: Pairs
    of_items: Lists
    uses: NDArray[np.int64]
    words: NDArray[np.int64]
    lists_kept: dict[str, Lists] = field(default_factory=dict, repr=False, compare=False)
    numbers_kept: dict[str, Numbers] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not len(self.uses) == len(self.words) == len(self.pairs.names):
            raise ValueError(f"{len(self.uses)} uses of {len(self.pairs.names)} names")

    @classmethod
    def of(cls, items: Sequence[Sequence[Attribute]]) -> Self:
        """Return the attributes of these items, in order of their rows."""
        lengths = [len(attributes) for attributes in items]
        found: dict[tuple[str, str], int] = {}
        every = chain.from_iterable(items)
        met = np.fromiter(
            (found.setdefault((one.name, one.value), len(found)) for one in every),
            np.int32,
            sum(lengths),
        )
        pairs, codes = Pairs.of(list(found))
        of_items = Lists.of(lengths, codes[met])
        return cls(pairs, of_items, *_counted(pairs, of_items.codes))

    def __len__(self) -> int:
        return len(self.of_items)

    def names(self) -> list[str]:
        """Return the names that items use, in the order of the alphabet."""
        return sorted(self.pairs.names.ids.take(_places(self.uses > 0)))

    def used(self, name: str) -> bool:
        """Return whether an item uses the name."""
        place = int(self.pairs.names.rows([name])[0])
        return place != UNKNOWN_ROW and bool(self.uses[place])

    def numeric(self, name: str) -> bool:
        """Return whether items use the name, and with values alone that are numbers."""
        place = int(self.pairs.names.rows([name])[0])
        return place != UNKNOWN_ROW and bool(self.uses[place]) and not self.words[place]

    def numeric_names(self) -> list[str]:
        """Return the names that items use with values alone that are numbers, by alphabet."""
        chosen = (self.uses > 0) & (self.words == 0)
        return sorted(self.pairs.names.ids.take(_places(chosen)))

    def lists(self, name: str) -> tuple[Lists, Texts]:
        """Return each item's values of a name, as (n_items,) lists of places in distinct texts.

        Place 0 is the empty text, which is in no list; the texts may hold others that no item has
        any more. Of an unknown name nobody has a value.
        """
        kept = remembered(
            self.lists_kept, name, MOST_REMEMBERED, lambda: self._narrowed(self.of_items, name)
        )
        return kept, self.pairs.of_name(name).values(self.pairs)

    def numbers(self, name: str) -> Numbers:
        """Return (n_items,) float64, each item's first value of a name; NaN where it is none."""
        return remembered(
            self.numbers_kept,
            name,
            MOST_REMEMBERED,
            lambda: self._firsts(self._narrowed(self.of_items, name), name),
        )

    def at(self, row: int) -> list[Attribute]:
        """Return the attributes of one item."""
        codes = self.of_items.at(row)
        names = self.pairs.names.ids.take(self.pairs.of_names[codes])
        return list(map(Attribute, names, self.pairs.values.take(codes)))

    def replaced(self, rows: Rows, items: Sequence[Sequence[Attribute]], n_items: int) -> Self:
        """Return the attributes of `n_items` items, in which these (m,) rows have these.

        What stays the same is shared. rows: ascending, each once. n_items: no fewer than now.
        """
        pairs, codes = self.pairs.placed((one.name, one.value) for every in items for one in every)
        new = Lists.of([len(attributes) for attributes in items], codes)
        of_items = self.of_items.replaced(rows, new, n_items)
        if of_items is self.of_items:
            return self
        old = self.of_items.of_rows(rows[rows < len(self)])
        gone, come = _counted(pairs, old.codes), _counted(pairs, new.codes)
        uses, words = (
            frozen(lengthened(counts, len(pairs.names), 0) - less + more)
            for counts, less, more in zip((self.uses, self.words), gone, come, strict=True)
        )
        grown = type(self)(pairs, of_items, uses, words)
        if pairs.crowded:
            return grown.trimmed()
        grown.remember(self, rows, new)
        return grown

    def trimmed(self) -> Self:
        """Return the same attributes without the pairs that came and went."""
        pairs, codes = self.pairs.trimmed(self.of_items.codes)
        return type(self)(pairs, replace(self.of_items, codes=codes), self.uses, self.words)

    def remember(self, before: Self, rows: Rows, new: Lists) -> None:
        """Keep the columns that were kept before; these rows have `new` pairs."""
        for name, lists in list(before.lists_kept.items()):
            part = self._narrowed(new, name)
            self.lists_kept[name] = lists.replaced(rows, part, len(self))
        for name, numbers in list(before.numbers_kept.items()):
            part = self._narrowed(new, name)
            longer = lengthened(numbers, len(self), np.nan)
            self.numbers_kept[name] = written(longer, rows, self._firsts(part, name))

    def _narrowed(self, lists: Lists, name: str) -> Lists:
        """Return lists of pairs as lists of the values of one name."""
        pairs = self.pairs.of_name(name)
        chosen = pairs.chosen(lists.codes)
        return lists.narrowed(chosen, pairs.places(lists.codes[chosen]))

    def _firsts(self, lists: Lists, name: str) -> Numbers:
        """Return the first value of each list of one name's values as a number."""
        numbers = self.pairs.of_name(name).numbers(self.pairs)
        return frozen(numbers[lists.firsts(0)])


def _counted(pairs: Pairs, codes: Rows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how often these codes use each name, and how often with what is no number."""
    names, n_names = pairs.of_names[codes], len(pairs.names)
    words = names[np.isnan(pairs.numbers[codes])]
    return (
        frozen(np.bincount(names, minlength=n_names)),
        frozen(np.bincount(words, minlength=n_names)),
    )


def _places(chosen: NDArray[np.bool_]) -> Rows:
    return np.flatnonzero(chosen).astype(np.int32)
