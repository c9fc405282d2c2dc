"""Columns whose values hold several things: an item's attributes, and its offers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson
import pyarrow as pa

from recsys.arrays import Mask
from recsys.errors import InvalidInput
from recsys.ids import ItemId
from recsys.items import MOST_ATTRIBUTES, MOST_OFFERS, Attribute, Item, Offer
from serving.importing.checks import Check
from serving.importing.normal import as_mask, plain, texts
from serving.log.items import encode_item

_Read = Callable[[Any], Mapping[str, Any]]
"""Returns the fields of an item that a value holds. Raises ValueError where it holds none."""

_ATTRIBUTES_WANTED = (
    f"at most {MOST_ATTRIBUTES} names (64 bytes) with values (256 bytes): an object, a list of "
    "objects with name and value, or a text such as color=red; size=M"
)
_OFFERS_WANTED = (
    f"a list of at most {MOST_OFFERS} objects, each with a market of its own, and of price, "
    "currency, available, sale_price and stock what is known"
)
_NUMBERS = ("price", "sale_price", "stock")
_UNREADABLE = (InvalidInput, ValueError, TypeError, AttributeError, LookupError)


def attributes_column(came: pa.Array) -> tuple[pa.Array, Check]:
    """Return the attributes of each row as JSON text, null for none, and the demand on them."""
    column, bad = _json_column("attributes", came, _attributes)
    return column, Check("attributes", bad, came, _ATTRIBUTES_WANTED)


def offers_column(came: pa.Array) -> tuple[pa.Array, Check]:
    """Return the offers of each row as JSON text, null for none, and the demand on them."""
    column, bad = _json_column("offers", came, _offers)
    return column, Check("offers", bad, came, _OFFERS_WANTED)


def _json_column(name: str, came: pa.Array, read: _Read) -> tuple[pa.Array, Mask]:
    """Return each value as the JSON it has within an item, and where there is none to have."""
    nested = pa.types.is_nested(came.type)
    values = plain(came) if nested else texts(came).to_pylist()
    known: dict[Any, str | None] = {}
    found, bad = [], []
    for value in values:
        key = repr(value) if nested else value
        if key not in known:
            known[key] = _json(name, value, read)
        found.append(known[key])
        bad.append(known[key] is None)
    column = pa.array([text or None for text in found], pa.string())
    return column, as_mask(pa.array(bad, pa.bool_()))


def _json(name: str, value: Any, read: _Read) -> str | None:
    """Return a value as JSON; empty where it says nothing, None where it cannot be read."""
    try:
        item = Item(ItemId("any"), **read(value))
        item.check()
    except _UNREADABLE:
        return None
    document = orjson.loads(encode_item(item))
    return orjson.dumps(document[name]).decode() if name in document else ""


def _attributes(value: Any) -> Mapping[str, Any]:
    return {"attributes": tuple(Attribute(*pair) for pair in _pairs(_loaded(value, _written)))}


def _offers(value: Any) -> Mapping[str, Any]:
    return {"offers": tuple(_offer(one) for one in _loaded(value, _refuse) or ())}


def _offer(one: Any) -> Offer:
    given = {name: held for name, held in one.items() if held is not None}
    for name in _NUMBERS:
        if name in given:
            given[name] = _number(given[name])
    if not isinstance(given.get("available", True), bool):
        raise ValueError("available is true or false")
    if not all(isinstance(given.get(name, ""), str) for name in ("market", "currency")):
        raise ValueError("market and currency are texts")
    return Offer(**given)


def _number(value: Any) -> float:
    if isinstance(value, bool):
        raise ValueError("a number")
    return float(value)


def _loaded(value: Any, written: Callable[[str], Any]) -> Any:
    """Return what a text holds as JSON, or as it is `written` otherwise; other values as is."""
    if not isinstance(value, str):
        return value
    return orjson.loads(value) if value.startswith(("{", "[")) else written(value)


def _written(text: str) -> list[tuple[str, str]]:
    """Return the pairs in a text such as `color=red; size=M`."""
    pairs = [part.partition("=") for part in text.split(";") if part.strip()]
    if not all(sign for _, sign, _ in pairs):
        raise ValueError(f"name=value in {text}")
    return [(name, value) for name, _, value in pairs]


def _refuse(text: str) -> Any:
    raise ValueError(f"a list, not {text}")


def _pairs(value: Any) -> Iterable[tuple[str, str]]:
    """Yield names and values of an object, or of a list of pairs."""
    named = value.items() if isinstance(value, dict) else map(_pair, value or ())
    for name, held in named:
        for one in held if isinstance(held, (list, tuple)) else (held,):
            text = text_of(one)
            if text:
                yield str(name).strip(), text


def _pair(one: Any) -> tuple[Any, Any]:
    """Return what an object names and says, or a pair as it is, such as an entry of a map."""
    if not isinstance(one, dict):
        name, value = one
        return name, value
    if not one.keys() <= {"name", "value"}:
        raise ValueError("name and value")
    return one["name"], one.get("value")


def text_of(value: Any) -> str:
    """Return a text, a number or a truth value as text; empty for nothing. Raises ValueError."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, (str, int, float)):
        raise ValueError(f"{type(value).__name__} is no text")
    return str(value).strip()
