"""Products of a feed as items of the catalog."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from recsys.errors import InvalidInput
from recsys.ids import ItemId
from recsys.items import MOST_ATTRIBUTES, Attribute, Item, Offer
from serving.importing.merchant.products import Product, Value
from serving.importing.merchant.values import (
    LATER,
    availability_of,
    category_of,
    holds_now,
    instant_of,
    is_sellable,
    price_of,
    stock_of,
)

_TEXTS = {
    "title": "title",
    "description": "description",
    "link": "url",
    "image_link": "image_url",
    "brand": "brand",
}
_NAMES = {
    "item_id": "id",
    "group_id": "item_group_id",
    "expires": "expiration_date",
    "available_from": "availability_date",
    **{ours: theirs for theirs, ours in _TEXTS.items()},
}
"""What a feed calls the fields of an item."""

_TAKEN = frozenset((
    "id", "item_group_id", "availability", "availability_date", "expiration_date", "price",
    "sale_price", "sale_price_effective_date", "quantity", "sell_on_google_quantity",
    "product_type", *_TEXTS,
))  # fmt: skip
_GOOGLE, _DETAIL = "google_product_category", "product_detail"
_MOST_NAME, _MOST_VALUE = 64, 256
_COMMA, _COLON = re.compile(r"(?<!\\),"), re.compile(r"(?<!\\):")
_SHOWN = 64


def item_of(product: Product, now: datetime) -> tuple[Item, Counter[str]]:
    """Return a product as an item, and the names of what it says to no purpose, with how often.

    now: tells whether its sale holds. Raises InvalidInput naming the feed's attribute.
    """
    if product.fault is not None:
        raise product.fault
    said, skipped = product.said, product.skipped.copy()
    availability = availability_of(_one(said, "availability"))
    available_from = instant_of("availability_date", _one(said, "availability_date"))
    item = Item(
        item_id=ItemId(_one(said, "id")),
        category=_category(said),
        group_id=_one(said, "item_group_id"),
        available=is_sellable(availability),
        available_from=None if availability in LATER else available_from,
        expires=instant_of("expiration_date", _one(said, "expiration_date")),
        attributes=_attributes(said, skipped),
        **_texts(said),
        **_terms(said, now),
    )
    _check(item, said)
    return item, skipped


def catalog_changes(items: Sequence[Item], market: str) -> Sequence[Item]:
    """Return what items of one market's feed change: their terms become an offer of that market.

    Without a market the items are returned as they are. An item that is known already keeps its
    offers of other markets: `serving.log.items.over_other_markets`.
    """
    return [_in_market(item, market) for item in items] if market else items


def _in_market(item: Item, market: str) -> Item:
    offer = Offer(market, item.price, item.currency, item.available, item.sale_price, item.stock)
    return replace(
        item,
        price=None,
        currency="",
        available=True,
        sale_price=None,
        stock=None,
        offers=(offer,),
    )


def _one(said: Mapping[str, list[Value]], name: str) -> str:
    """Return the one value of an attribute, empty for none. Raises InvalidInput for several."""
    values = said.get(name, ())
    if len(values) > 1 and any(value != values[0] for value in values):
        came = ", ".join(str(value)[:_SHOWN] for value in values[:3])
        raise InvalidInput(name, came, "one value")
    return _first(said, name)


def _first(said: Mapping[str, list[Value]], name: str) -> str:
    """Return the first text of an attribute, empty for none. Raises InvalidInput for parts."""
    values = said.get(name)
    if not values:
        return ""
    if not isinstance(values[0], str):
        raise InvalidInput(name, str(values[0])[:_SHOWN], "a text")
    return values[0]


def _category(said: Mapping[str, list[Value]]) -> str:
    """Return the shop's own path, else Google's where it is written out."""
    own = _first(said, "product_type")
    if own:
        return category_of("product_type", own)
    known = _first(said, _GOOGLE)
    return category_of(_GOOGLE, known) if known and not known.isdecimal() else ""


def _texts(said: Mapping[str, list[Value]]) -> dict[str, Any]:
    return {ours: _first(said, theirs) for theirs, ours in _TEXTS.items()}


def _terms(said: Mapping[str, list[Value]], now: datetime) -> dict[str, Any]:
    price, currency = price_of("price", _one(said, "price"))
    sale_price, sale_currency = price_of("sale_price", _one(said, "sale_price"))
    if currency and sale_currency and sale_currency != currency:
        raise InvalidInput("sale_price", sale_currency, f"the currency of the price, {currency}")
    interval = "sale_price_effective_date"
    if not holds_now(interval, _one(said, interval), now):
        sale_price = None
    counted = "quantity" if "quantity" in said else "sell_on_google_quantity"
    return {
        "price": price,
        "currency": currency or sale_currency,
        "sale_price": sale_price,
        "stock": stock_of(counted, _one(said, counted)),
    }


def _attributes(said: Mapping[str, list[Value]], skipped: Counter[str]) -> tuple[Attribute, ...]:
    """Return what has no field of its own; what does not fit is counted as skipped."""
    found: dict[Attribute, None] = {}
    availability = availability_of(_one(said, "availability"))
    if availability in LATER:
        found[Attribute("availability", availability)] = None
    for name, values in said.items():
        if name not in _TAKEN:
            for value in values:
                for attribute in _named(name, value):
                    if _fits(attribute) and len(found) < MOST_ATTRIBUTES:
                        found[attribute] = None
                    else:
                        skipped[name] += 1
    return tuple(found)


def _named(name: str, value: Value) -> Iterator[Attribute]:
    """Yield the attributes that one value of a feed holds; an empty one for what is none."""
    if isinstance(value, str):
        if name == _DETAIL:
            yield from (_detail(*_COLON.split(part, 2)) for part in _COMMA.split(value))
        else:
            yield Attribute(name, _in_one_line(value))
    elif name == _DETAIL:
        parts = ("section_name", "attribute_name", "attribute_value")
        yield _detail(*(value.get(part, "") for part in parts))
    else:
        yield Attribute(name, "")


def _detail(*parts: str) -> Attribute:
    """Return section, name and value as an attribute `section/name`."""
    if len(parts) != 3:
        return Attribute(_DETAIL, "")
    section, name, value = (
        _in_one_line(part.replace("\\:", ":").replace("\\,", ",")) for part in parts
    )
    return Attribute(f"{section}/{name}" if section else name, value)


def _in_one_line(text: str) -> str:
    return text if text.isprintable() and text == text.strip() else " ".join(text.split())


def _fits(attribute: Attribute) -> bool:
    name, value = attribute.name, attribute.value
    return (
        0 < len(name.encode()) <= _MOST_NAME
        and 0 < len(value.encode()) <= _MOST_VALUE
        and name.isprintable()
        and value.isprintable()
    )


def _check(item: Item, said: Mapping[str, list[Value]]) -> None:
    """Raise InvalidInput naming the first attribute of the feed that holds what it may not."""
    for theirs, ours in _TEXTS.items():
        if "\0" in getattr(item, ours):
            raise InvalidInput(theirs, getattr(item, ours)[:_SHOWN], "a text without NUL")
    try:
        item.check()
    except InvalidInput as error:
        own = "product_type" if "product_type" in said else _GOOGLE
        name = own if error.field == "category" else _NAMES.get(error.field, error.field)
        raise InvalidInput(name, error.came, error.wanted) from error
