"""Products as Google's interfaces for programs tell them: JSON with names such as `imageLink`.

Content API: https://developers.google.com/shopping-content/reference/rest/v2.1/products
Merchant API: https://developers.google.com/merchant/api/reference/rest/products_v1/ProductAttributes
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from recsys.errors import InvalidInput
from serving.importing.json_files import row_batches
from serving.importing.merchant.gathering import Gathering
from serving.importing.merchant.products import BrokenOff, Product, Value, name_of
from serving.importing.nested import text_of
from serving.importing.tables import Broken
from serving.intake import may_be_id

LISTS = ("resources", "entries", "products")
"""Under which names a document holds products."""

_REST_ID = re.compile(r"(?:online|local):[a-zA-Z-]{2,8}:[^:]*:(.+)", re.DOTALL)
_INNER = ("attributes", "productAttributes", "product_attributes")
_CUSTOM = ("customAttributes", "custom_attributes")
_IDS = ("id", "itemGroupId", "item_group_id")
_MICROS = 1_000_000


def json_products(path: Path) -> Iterator[Product | Broken | BrokenOff]:
    """Yield the products of a file, what is none, and where it can be read no further."""
    line = 0
    batches = row_batches(path, LISTS)
    try:
        for documents in batches:
            yield from documents.broken
            for line, document in zip(documents.lines, documents.found, strict=True):
                yield from _of_document(line, document)
    except InvalidInput as error:
        yield BrokenOff(Broken(line + 1, str(error.came), error.wanted))


def _of_document(line: int, document: Mapping[str, Any]) -> Iterator[Product | Broken]:
    """Yield the products in a document: itself, or those it lists."""
    name = next((one for one in LISTS if isinstance(document.get(one), list)), None)
    if name is None:
        yield _product(line, document, "")
        return
    for place, one in enumerate(document[name]):
        if isinstance(one, dict):
            yield _product(line, one, f"{name}[{place}]")
        else:
            yield Broken(line, str(one)[:64], f"a product as {name}[{place}]")


def _product(line: int, document: Mapping[str, Any], place: str) -> Product:
    """Return a product: of itself, of what it wraps, and of the attributes set apart in it."""
    inner = document.get("product")
    whole = inner if isinstance(inner, dict) else document
    gathering = Gathering(line)
    for key, value in _flat(whole):
        for one in value if isinstance(value, list) else (value,):
            named = may_be_id(one) or key not in _IDS
            gathering.take(name_of(key), _value(one) if named else {"value": str(one)})
    return gathering.product(whole, place)


def _flat(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield all attributes of a product, under whatever it keeps them."""
    yield "id", document.get("offerId") or document.get("offer_id") or _shop_id(document.get("id"))
    for key, value in document.items():
        if key in _INNER and isinstance(value, dict):
            yield from ((name, held) for name, held in value.items() if name != "id")
        elif key in _CUSTOM and isinstance(value, list):
            yield from _custom(value)
        elif key not in ("id", "offerId", "offer_id"):
            yield key, value


def _custom(given: list[Any]) -> Iterator[tuple[str, Any]]:
    for one in given:
        if isinstance(one, dict) and isinstance(one.get("name"), str):
            yield one["name"], one.get("value")


def _shop_id(rest_id: Any) -> Any:
    """Return the shop's own id out of one such as `online:en:DE:sku-1`."""
    found = _REST_ID.fullmatch(rest_id) if isinstance(rest_id, str) else None
    return found[1] if found else rest_id


def _value(value: Any) -> Value:
    """Return a value as the other kinds of feeds write it; as its parts, what is no text."""
    if not isinstance(value, dict):
        return {"value": str(value)} if isinstance(value, list) else text_of(value)
    parts = {name_of(key): _part(one) for key, one in value.items()}
    match sorted(parts):
        case ["currency", "value"]:
            return f"{parts['value']} {parts['currency']}".strip()
        case ["amount_micros", "currency_code"]:
            return f"{_of_micros(parts['amount_micros'])} {parts['currency_code']}"
        case ["end_time", "start_time"]:
            return f"{parts['start_time']}/{parts['end_time']}"
        case _:
            return parts


def _part(value: Any) -> str:
    return "" if isinstance(value, (dict, list)) else text_of(value)


def _of_micros(micros: str) -> str:
    """Return millionths as a number with a point; what is no number stays what it is."""
    try:
        return f"{Decimal(micros) / _MICROS:f}"
    except InvalidOperation:
        return micros
