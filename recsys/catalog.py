"""Items: one product, and the whole catalog as columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from recsys.arrays import Mask, Rows, Scores, frozen
from recsys.errors import InvalidInput
from recsys.ids import ItemId, Strings, Vocabulary, check_id

CATEGORY_SEPARATOR = " > "
MOST_CHARACTERS = {
    "title": 1_000,
    "category": 1_000,
    "brand": 200,
    "currency": 16,
    "url": 2_000,
    "image_url": 2_000,
}
"""Longest text of each field of an item but its id, in characters."""


@dataclass(frozen=True, slots=True)
class Item:
    """One product as the shop describes it.

    category: path from the root, such as `Grocery > Bread`; empty where unknown.
    price: of one piece, in `currency`; None where unknown.
    available: whether it may be sold, and so recommended, now.
    """

    item_id: ItemId
    title: str = ""
    category: str = ""
    brand: str = ""
    price: float | None = None
    currency: str = ""
    available: bool = True
    url: str = ""
    image_url: str = ""

    def check(self) -> None:
        """Raise InvalidInput naming the first field that holds what it may not."""
        check_id("item_id", self.item_id)
        for name, most in MOST_CHARACTERS.items():
            if len(getattr(self, name)) > most:
                raise InvalidInput(name, getattr(self, name)[:64], f"at most {most} characters")
        if self.price is not None and not 0 <= self.price < 1e12:
            raise InvalidInput("price", self.price, "a number from 0 to 1e12")


@dataclass(frozen=True, slots=True)
class Catalog:
    """What is known of every item, as columns; row i describes `vocabulary.id(i)`.

    titles: (n_items,) texts, empty where unknown.
    categories: (n_items,) int32 places in `category_names`; place 0 is the empty name.
    brands: (n_items,) int32 places in `brand_names`; place 0 is the empty name.
    prices: (n_items,) float32, NaN where unknown.
    available: (n_items,) bool, whether the item may be recommended at all.
    urls, image_urls: (n_items,) texts, of the product page and of its picture; empty where unknown.
    """

    vocabulary: Vocabulary
    titles: Strings
    categories: Rows
    category_names: Strings
    brands: Rows
    brand_names: Strings
    prices: Scores
    available: Mask
    urls: Strings
    image_urls: Strings

    def __post_init__(self) -> None:
        sizes = {
            len(self.titles),
            len(self.categories),
            len(self.brands),
            len(self.prices),
            len(self.available),
            len(self.urls),
            len(self.image_urls),
        }
        if sizes != {len(self.vocabulary)}:
            raise ValueError(f"columns of {sizes} rows for {len(self.vocabulary)} items")

    def __len__(self) -> int:
        return len(self.vocabulary)

    @classmethod
    def of(cls, vocabulary: Vocabulary, items: Mapping[int, Item]) -> Self:
        """Return the catalog of these items by row.

        Rows without an item are unknown to the catalog and not available; with no item at all
        (a shop that sent events only) every row is available.
        """
        rows = range(len(vocabulary))
        nothing = Item(ItemId(""), available=not items)
        column = [items.get(row, nothing) for row in rows]
        categories, category_names = _coded([item.category for item in column])
        brands, brand_names = _coded([item.brand for item in column])
        prices = np.array(
            [np.nan if item.price is None else item.price for item in column], dtype=np.float32
        )
        return cls(
            vocabulary,
            Strings.of([item.title for item in column]),
            categories,
            category_names,
            brands,
            brand_names,
            frozen(prices),
            frozen(np.array([item.available for item in column], dtype=np.bool_)),
            Strings.of([item.url for item in column]),
            Strings.of([item.image_url for item in column]),
        )

    def name(self, row: int) -> str:
        """Return what to call the item in words: its title, or its id where it has none."""
        return self.titles[row] or self.vocabulary.id(row)


def _coded(texts: list[str]) -> tuple[Rows, Strings]:
    """Return each text's place in the sorted distinct texts, and those, the empty one first."""
    names = sorted({"", *texts})
    places = {name: place for place, name in enumerate(names)}
    codes = np.fromiter((places[text] for text in texts), dtype=np.int32, count=len(texts))
    return frozen(codes), Strings.of(names)
