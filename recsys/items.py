"""Items: one product as the shop describes it, and what may change of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from recsys.errors import InvalidInput
from recsys.ids import MOST_MARKET_BYTES, ItemId, check_id, check_text

MOST_CHARACTERS = {
    "title": 1_000,
    "category": 1_000,
    "brand": 200,
    "currency": 16,
    "url": 2_000,
    "image_url": 2_000,
    "description": 5_000,
}
"""Longest text of each field of an item but its ids, in characters."""

MOST_ATTRIBUTES = 100
MOST_OFFERS = 250
MOST_PRICE = 1e12
MOST_STOCK = 1e12
_MOST_NAME, _MOST_VALUE = 64, 256


@dataclass(frozen=True, slots=True)
class Attribute:
    """One property of an item in the shop's own words; a name may stand several times.

    name: such as `color`. value: such as `red`.
    """

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Offer:
    """On what terms one market sells an item.

    market: the shop's own name of it, such as `DE`.
    price: of one piece, in `currency`; None where unknown. sale_price: for now, instead of it.
    available: whether it may be sold. stock: pieces left, >= 0; None where unknown.
    """

    market: str
    price: float | None = None
    currency: str = ""
    available: bool = True
    sale_price: float | None = None
    stock: float | None = None

    @property
    def sellable(self) -> bool:
        """Whether there is something to sell."""
        return self.available and self.stock != 0


@dataclass(frozen=True, slots=True)
class Item:
    """One product as the shop describes it.

    category: path from the root, such as `Grocery > Bread`; empty where unknown.
    price: of one piece, in `currency`; None where unknown. sale_price: for now, instead of it.
    available: whether it may be sold. stock: pieces left, >= 0; None where unknown.
    group_id: what the variants of one product share, as sizes and colours do; empty for an item
        alone. It may be the id of an item itself: the product they are variants of.
    hidden: whether it is to be recommended nowhere, whatever its stock.
    available_from, expires: instants with zone at which selling begins and ends; None for never.
    offers: terms by market. An item that names markets is sold in those alone; one that names none
        is sold everywhere, on its own terms.
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
    description: str = ""
    sale_price: float | None = None
    stock: float | None = None
    group_id: str = ""
    hidden: bool = False
    available_from: datetime | None = None
    expires: datetime | None = None
    attributes: tuple[Attribute, ...] = ()
    offers: tuple[Offer, ...] = ()

    @property
    def sellable(self) -> bool:
        """Whether there is something to sell, in a market that the item does not name."""
        return self.available and self.stock != 0

    def check(self) -> None:
        """Raise InvalidInput naming the first field that holds what it may not."""
        check_id("item_id", self.item_id)
        if self.group_id:
            check_id("group_id", self.group_id)
        for name, most in MOST_CHARACTERS.items():
            if len(getattr(self, name)) > most:
                raise InvalidInput(name, getattr(self, name)[:64], f"at most {most} characters")
        check_terms(self.price, self.sale_price, self.stock)
        self._check_dates()
        self._check_attributes()
        self._check_offers()

    def _check_dates(self) -> None:
        for name in ("available_from", "expires"):
            time: datetime | None = getattr(self, name)
            if time is not None and (time.tzinfo is None or not 1971 <= time.year <= 2105):
                raise InvalidInput(name, str(time), "a time with zone in 1971 to 2105")

    def _check_attributes(self) -> None:
        if len(self.attributes) > MOST_ATTRIBUTES:
            raise InvalidInput("attributes", len(self.attributes), f"at most {MOST_ATTRIBUTES}")
        for place, one in enumerate(self.attributes):
            check_text(f"attributes[{place}].name", one.name, _MOST_NAME)
            check_text(f"attributes[{place}].value", one.value, _MOST_VALUE)

    def _check_offers(self) -> None:
        if len(self.offers) > MOST_OFFERS:
            raise InvalidInput("offers", len(self.offers), f"at most {MOST_OFFERS} markets")
        markets = set()
        for place, offer in enumerate(self.offers):
            at = f"offers[{place}]."
            check_market(f"{at}market", offer.market)
            if offer.market in markets:
                raise InvalidInput(f"{at}market", offer.market, "each market once")
            markets.add(offer.market)
            if len(offer.currency) > MOST_CHARACTERS["currency"]:
                raise InvalidInput(f"{at}currency", offer.currency[:64], "at most 16 characters")
            check_terms(offer.price, offer.sale_price, offer.stock, at)


@dataclass(frozen=True, slots=True)
class OfferUpdate:
    """New stock and prices of one item in one market; None leaves a field as it is.

    market: empty for the terms of an item that names no markets.
    price: ends a sale, unless `sale_price` stands beside it.
    """

    item_id: ItemId
    market: str = ""
    price: float | None = None
    currency: str | None = None
    available: bool | None = None
    sale_price: float | None = None
    stock: float | None = None

    def check(self) -> None:
        """Raise InvalidInput naming the first field that holds what it may not."""
        check_id("item_id", self.item_id)
        if self.market:
            check_market("market", self.market)
        if self.currency is not None and len(self.currency) > MOST_CHARACTERS["currency"]:
            raise InvalidInput("currency", self.currency[:64], "at most 16 characters")
        check_terms(self.price, self.sale_price, self.stock)


@dataclass(frozen=True, slots=True)
class Removal:
    """An item that is sold no more; it may be described again."""

    item_id: ItemId

    def check(self) -> None:
        """Raise InvalidInput unless the id is one."""
        check_id("item_id", self.item_id)


ItemChange = Item | OfferUpdate | Removal


def check_market(field_name: str, market: str) -> None:
    """Raise InvalidInput unless the text can name a market."""
    check_text(field_name, market, MOST_MARKET_BYTES)


def check_terms(
    price: float | None, sale_price: float | None, stock: float | None, at: str = ""
) -> None:
    """Raise InvalidInput for a price or a stock that cannot be; `at` begins the field's path."""
    for name, value, most in (
        ("price", price, MOST_PRICE),
        ("sale_price", sale_price, MOST_PRICE),
        ("stock", stock, MOST_STOCK),
    ):
        if value is not None and not 0 <= value < most:
            raise InvalidInput(f"{at}{name}", value, "a number from 0 to 1e12")
