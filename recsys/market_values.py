"""Market values: the fields of every item in one market, as columns for filters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recsys.arrays import Mask, Rows, Seconds, frozen
from recsys.catalog import NEVER, Catalog
from recsys.fields import ITEM_TYPES, attribute_of, field_of
from recsys.ids import Strings
from recsys.memory import remembered
from recsys.pairs import Numbers
from recsys.predicates.values import UNKNOWN_TIME, Coded, CodedLists, ValueType
from recsys.prices import discounts, list_prices_in, prices_in, stocks_in
from recsys.texts import Texts

MOST_COLUMNS = 32
"""Columns that are kept at a time: those asked for last."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class MarketValues:
    """What filters may ask of each item of a catalog, for itself, in one market.

    It keeps `recsys.predicates.values.ItemValues`. An attribute is a number where all the values
    that items have of it are numbers, and the first of an item's counts; else a list of texts.

    market: its place in `market_names`, as `recsys.assortment` resolves it.
    kept: a memory of columns by field, which changes no answer.
    """

    catalog: Catalog
    market: int
    kept: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def n_items(self) -> int:
        """How many items there are."""
        return len(self.catalog)

    def numbers(self, name: str) -> Numbers:
        """Return the (n_items,) float64 numbers of a field, NaN where unknown."""
        self.check(name, ValueType.NUMBER)
        found: Numbers = self._remembered(name, self._numbers)
        return found

    def texts(self, name: str) -> Coded:
        """Return the text, or the path, of each item."""
        self.check(name, ValueType.TEXT, ValueType.CATEGORY)
        found: Coded = self._remembered(name, self._texts)
        return found

    def lists(self, name: str) -> CodedLists:
        """Return the list of texts of each item."""
        self.check(name, ValueType.TEXTS)
        found: CodedLists = self._remembered(name, self._lists)
        return found

    def times(self, name: str) -> Seconds:
        """Return the (n_items,) int64 seconds of a field, `UNKNOWN_TIME` where unknown."""
        self.check(name, ValueType.TIME)
        found: Seconds = self._remembered(name, self._times)
        return found

    def flags(self, name: str) -> Mask:
        """Return the (n_items,) flags of a field."""
        self.check(name, ValueType.FLAG)
        found: Mask = self._remembered(name, self._flags)
        return found

    def type_of(self, name: str) -> ValueType:
        """Return the type of a field. Raises ValueError for a name that is none."""
        if name in ITEM_TYPES:
            return ITEM_TYPES[name]
        attributes, attribute = self.catalog.attributes, attribute_of(name)
        if not attributes.used(attribute) or field_of(attribute) != name:
            raise ValueError(f"no item has a field {name!r}")
        return ValueType.NUMBER if attributes.numeric(attribute) else ValueType.TEXTS

    def check(self, name: str, *wanted: ValueType) -> None:
        """Raise ValueError unless the name is of a field of one of these types."""
        kind = self.type_of(name)
        if kind not in wanted:
            raise ValueError(f"{name} is a {kind}, not a {' or '.join(wanted)}")

    def _remembered(self, name: str, make: Callable[[str], Any]) -> Any:
        return remembered(self.kept, name, MOST_COLUMNS, lambda: make(name))

    def _numbers(self, name: str) -> Numbers:
        match name:
            case "price":
                return prices_in(self.catalog, self.market)
            case "list_price":
                return list_prices_in(self.catalog, self.market)
            case "stock":
                return stocks_in(self.catalog, self.market)
            case "discount":
                return discounts(self.numbers("list_price"), self.numbers("price"))
            case _:
                return self.catalog.attributes.numbers(attribute_of(name))

    def _texts(self, name: str) -> Coded:
        catalog = self.catalog
        match name:
            case "category":
                return Coded(catalog.categories, Texts(catalog.category_names))
            case "brand":
                return Coded(catalog.brands, Texts(catalog.brand_names))
            case "group":
                return Coded(catalog.groups.codes, Texts(catalog.groups.names))
            case "title":
                return _each_its_own(catalog.titles)
            case _:
                return _each_its_own(catalog.vocabulary.ids)

    def _lists(self, name: str) -> CodedLists:
        lists, names = self.catalog.attributes.lists(attribute_of(name))
        return CodedLists(lists.offsets, lists.codes, names)

    def _times(self, name: str) -> Seconds:
        match name:
            case "since":
                return _dated(self.catalog.since, 0)
            case "available_from":
                return _dated(self.catalog.items.available_from, 0)
            case _:
                return _dated(self.catalog.items.expires, NEVER)

    def _flags(self, name: str) -> Mask:
        match name:
            case "on_sale":
                return frozen(self.numbers("price") < self.numbers("list_price"))
            case "has_url":
                return frozen(~self.catalog.urls.empty())
            case _:
                return frozen(~self.catalog.image_urls.empty())


def _each_its_own(texts: Strings) -> Coded:
    codes: Rows = np.arange(1, len(texts) + 1, dtype=np.int32)
    codes[texts.empty()] = 0
    return Coded(frozen(codes), Texts(texts, 1))


def _dated(seconds: Seconds, nothing: int) -> Seconds:
    return frozen(np.where(seconds == nothing, UNKNOWN_TIME, seconds))
