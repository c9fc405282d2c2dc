"""The whole catalog as columns."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import numpy as np

from recsys.arrays import Mask, Rows, Scores, Seconds, frozen
from recsys.attributes import Attributes
from recsys.groups import Groups
from recsys.ids import Strings, Vocabulary
from recsys.items import Item
from recsys.offers import Offers, numbers

NEVER = int(np.iinfo(np.int64).max)
"""The second that never comes."""


@dataclass(frozen=True, slots=True)
class ItemColumns:
    """What items say of themselves in numbers, as columns of equal length.

    prices, sale_prices: (n_items,) float32, NaN where unknown or none.
    listed: (n_items,) bool, whether the item is described and not hidden.
    sellable: (n_items,) bool, whether it is listed and there is something to sell, on its own
        terms: those of every market that no offer speaks of.
    available_from, expires: (n_items,) int64 seconds; 0 and `NEVER` for none.
    stocks: (n_items,) float32 pieces left, on the item's own terms; NaN where unknown.
    """

    prices: Scores
    sale_prices: Scores
    listed: Mask
    sellable: Mask
    available_from: Seconds
    expires: Seconds
    stocks: Scores

    @classmethod
    def of(cls, items: Sequence[Item | None], *, undescribed: bool = False) -> Self:
        """Return the columns of these items; undescribed: whether None is listed and sellable."""
        listed = [undescribed if item is None else not item.hidden for item in items]
        sold = [item is None or item.sellable for item in items]
        return cls(
            frozen(numbers(_each(items, "price"))),
            frozen(numbers(_each(items, "sale_price"))),
            frozen(np.array(listed, dtype=np.bool_)),
            frozen(np.array(listed, dtype=np.bool_) & np.array(sold, dtype=np.bool_)),
            frozen(_seconds(_each(items, "available_from"), 0)),
            frozen(_seconds(_each(items, "expires"), NEVER)),
            frozen(numbers(_each(items, "stock"))),
        )

    def __len__(self) -> int:
        return len(self.prices)


@dataclass(frozen=True, slots=True)
class Catalog:
    """What is known of every item, as columns; row i describes `vocabulary.id(i)`.

    titles, urls, image_urls: (n_items,) texts, of the item, its page and its picture; empty where
        unknown.
    categories, brands: (n_items,) int32 places in their names; place 0 is the empty name.
    items: prices, and what may be shown when.
    offers: terms by market, as places in `market_names`; place 0 is the empty name.
    groups: how variants belong together.
    since: (n_items,) int64 seconds, when each item was described first; 0 where unknown.
    attributes: what items say of themselves in the shop's own words.
    events_only: whether the shop never described an item, so that all of them may be shown.
    """

    vocabulary: Vocabulary
    titles: Strings
    categories: Rows
    category_names: Strings
    brands: Rows
    brand_names: Strings
    items: ItemColumns
    market_names: Strings
    offers: Offers
    groups: Groups
    urls: Strings
    image_urls: Strings
    since: Seconds
    attributes: Attributes
    events_only: bool = False

    def __post_init__(self) -> None:
        columns: tuple[Sized, ...] = (
            self.titles,
            self.categories,
            self.brands,
            self.items,
            self.offers,
            self.groups,
            self.urls,
            self.image_urls,
            self.since,
            self.attributes,
        )
        sizes = {len(column) for column in columns}
        if sizes != {len(self.vocabulary)}:
            raise ValueError(f"columns of {sizes} rows for {len(self.vocabulary)} items")

    def __len__(self) -> int:
        return len(self.vocabulary)

    @classmethod
    def of(
        cls,
        vocabulary: Vocabulary,
        items: Mapping[int, Item | None],
        since: Mapping[int, int] | None = None,
    ) -> Self:
        """Return the catalog of these items by row; None where an item was removed.

        since: the second at which the item of a row was described first, where it is known.

        Rows without an item are unknown to the catalog and may not be shown; with no entry at all
        (a shop that sent events only) every row may be.
        """
        column = [items.get(row) for row in range(len(vocabulary))]
        first = [(since or {}).get(row, 0) for row in range(len(vocabulary))]
        categories, category_names = _coded([item.category if item else "" for item in column])
        brands, brand_names = _coded([item.brand if item else "" for item in column])
        market_names, offers = _offers(column)
        return cls(
            vocabulary,
            Strings.of([item.title if item else "" for item in column]),
            categories,
            category_names,
            brands,
            brand_names,
            ItemColumns.of(column, undescribed=not items),
            market_names,
            offers,
            Groups.of(vocabulary, [item.group_id if item else "" for item in column]),
            Strings.of([item.url if item else "" for item in column]),
            Strings.of([item.image_url if item else "" for item in column]),
            frozen(np.array(first, dtype=np.int64)),
            Attributes.of([item.attributes if item else () for item in column]),
            events_only=not items,
        )

    @property
    def prices(self) -> Scores:
        """(n_items,) float32 prices, NaN where unknown."""
        return self.items.prices

    @property
    def primaries(self) -> Rows:
        """(n_items,) int32, the row that stands for each item and its variants."""
        return self.groups.primaries

    def name(self, row: int) -> str:
        """Return what to call the item in words: its title, or its id where it has none."""
        return self.titles[row] or self.vocabulary.id(row)


def offers_of(items: Sequence[Item | None], places: Callable[[Sequence[str]], Rows]) -> Offers:
    """Return the offers of these items; `places` says where each market stands in the names."""
    lists = [item.offers if item else () for item in items]
    every = [offer for one in lists for offer in one]
    return Offers.of(
        [len(one) for one in lists],
        places([offer.market for offer in every]),
        every,
    )


def _offers(items: Sequence[Item | None]) -> tuple[Strings, Offers]:
    names = sorted({"", *(offer.market for item in items if item for offer in item.offers)})
    place = {name: number for number, name in enumerate(names)}
    return Strings.of(names), offers_of(
        items, lambda asked: np.fromiter((place[name] for name in asked), np.int32, len(asked))
    )


def _each(items: Sequence[Item | None], name: str) -> list[Any]:
    """Return a field of each item, None for None."""
    return [item and getattr(item, name) for item in items]


def _seconds(times: Sequence[datetime | None], nothing: int) -> Seconds:
    """Return the first whole second of each time, `nothing` for None."""
    seconds = [nothing if time is None else math.ceil(time.timestamp()) for time in times]
    return np.array(seconds, dtype=np.int64)


def _coded(texts: list[str]) -> tuple[Rows, Strings]:
    """Return each text's place in the sorted distinct texts, and those, the empty one first."""
    names = sorted({"", *texts})
    places = {name: place for place, name in enumerate(names)}
    codes = np.fromiter((places[text] for text in texts), dtype=np.int32, count=len(texts))
    return frozen(codes), Strings.of(names)
