"""Item values: the fields of what is shown on one shelf, as columns for filters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from recsys.arrays import A, Mask, Rows, Seconds, frozen, written
from recsys.assortment import UNNAMED, Assortment, Shelf
from recsys.lists import Lists
from recsys.market_values import MOST_COLUMNS, MarketValues
from recsys.memory import remembered
from recsys.pairs import Numbers
from recsys.predicates.values import Coded, CodedLists, ValueType


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class ShelfValues:
    """What filters may ask of each item as it is shown: a product as its variant that is.

    It keeps `recsys.predicates.values.ItemValues`.

    own: of each item for itself. heads: (n,) int32 rows, ascending, that show those in `faces`.
    kept: a memory of columns by field, which changes no answer.
    """

    own: MarketValues
    heads: Rows
    faces: Rows
    kept: dict[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, own: MarketValues, shelf: Shelf) -> Self:
        """Return the values of what is shown on a shelf of the market."""
        return cls(own, shelf.heads, shelf.faces)

    @property
    def n_items(self) -> int:
        """How many items there are."""
        return self.own.n_items

    def numbers(self, name: str) -> Numbers:
        """Return the (n_items,) float64 numbers of a field, NaN where unknown."""
        self.own.check(name, ValueType.NUMBER)
        found: Numbers = self._remembered(name, lambda: self._shown(self.own.numbers(name)))
        return found

    def texts(self, name: str) -> Coded:
        """Return the text, or the path, of each item."""
        self.own.check(name, ValueType.TEXT, ValueType.CATEGORY)
        found: Coded = self._remembered(name, lambda: self._coded(self.own.texts(name)))
        return found

    def lists(self, name: str) -> CodedLists:
        """Return the list of texts of each item."""
        self.own.check(name, ValueType.TEXTS)
        found: CodedLists = self._remembered(name, lambda: self._listed(self.own.lists(name)))
        return found

    def times(self, name: str) -> Seconds:
        """Return the (n_items,) int64 seconds of a field, `UNKNOWN_TIME` where unknown."""
        self.own.check(name, ValueType.TIME)
        found: Seconds = self._remembered(name, lambda: self._shown(self.own.times(name)))
        return found

    def flags(self, name: str) -> Mask:
        """Return the (n_items,) flags of a field."""
        self.own.check(name, ValueType.FLAG)
        found: Mask = self._remembered(name, lambda: self._shown(self.own.flags(name)))
        return found

    def shows(self, shelf: Shelf) -> bool:
        """Return whether a shelf of the market shows the same."""
        same = np.array_equal(self.heads, shelf.heads) and np.array_equal(self.faces, shelf.faces)
        return bool(same)

    def prepare(self, before: Self) -> None:
        """Make the columns that one before was asked for, so that nobody waits."""
        for name in list(before.kept):
            try:
                kind = self.own.type_of(name)
            except ValueError:  # an attribute that no item has any more
                continue
            self._of_type(kind)(name)

    def _of_type(self, kind: ValueType) -> Callable[[str], object]:
        match kind:
            case ValueType.NUMBER:
                return self.numbers
            case ValueType.TEXTS:
                return self.lists
            case ValueType.TIME:
                return self.times
            case ValueType.FLAG:
                return self.flags
            case _:
                return self.texts

    def _remembered(self, name: str, make: Callable[[], Any]) -> Any:
        return remembered(self.kept, name, MOST_COLUMNS, make)

    def _shown(self, column: A) -> A:
        faces: Any = column[self.faces]
        shown: A = written(column, self.heads, faces)
        return shown

    def _coded(self, own: Coded) -> Coded:
        return Coded(self._shown(own.codes), own.names)

    def _listed(self, own: CodedLists) -> CodedLists:
        if not len(self.heads):
            return own
        rows = np.arange(self.n_items, dtype=np.int32)
        rows[self.heads] = self.faces
        shown = Lists(own.offsets, own.codes).of_rows(rows)
        return CodedLists(frozen(shown.offsets), frozen(shown.codes), own.names)


@dataclass(frozen=True, slots=True, eq=False)
class AssortmentValues:
    """The values of an assortment's shelves, made when they are asked for.

    shelves: by the place of the market: its name, and the values of its shelf. A memory, which
        changes no answer.
    """

    assortment: Assortment
    shelves: dict[int, tuple[str, ShelfValues]] = field(default_factory=dict)

    def of(self, market: str, now: int) -> ShelfValues:
        """Return the values of what is shown in a market at a second.

        They stay the same, by identity, until something else is shown.
        """
        place = self.assortment.markets.get(market, UNNAMED)
        shelf = self.assortment.shelf(market, now)
        _, kept = self.shelves.get(place, (market, None))
        if kept is None:
            kept = ShelfValues.of(MarketValues(self.assortment.catalog, place), shelf)
        elif not kept.shows(shelf):
            kept = ShelfValues.of(kept.own, shelf)
        self.shelves[place] = market, kept
        return kept

    def prepare(self, before: Self, now: int) -> None:
        """Make what one before was asked for, so that nobody waits."""
        for market, values in list(before.shelves.values()):
            self.of(market, now).prepare(values)
