"""What the values of a feed mean: prices, times, stocks, category paths."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime

from recsys.errors import InvalidInput

_PRICE = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)\s*([A-Za-z]{3})", re.ASCII)
_PRICE_WANTED = "a number with a point, and three letters of a currency, such as 12.99 EUR"
_PIECES = re.compile(r"\d{1,15}(?:\.\d{1,9})?", re.ASCII)
_SELLABLE = frozenset(
    ("in_stock", "preorder", "pre_order", "backorder", "back_order", "limited_availability")
)
_GONE = frozenset(("out_of_stock",))
_GAPS = re.compile(r"[\s_-]+")
_MOST_LEVELS = 20
_SHOWN = 64

LATER = frozenset(("preorder", "pre_order", "backorder", "back_order"))
"""Availabilities that sell what is not there yet."""


def price_of(name: str, text: str) -> tuple[float | None, str]:
    """Return a price such as `12.99 EUR` and its currency; None and empty for nothing.

    Raises InvalidInput.
    """
    if not text:
        return None, ""
    found = _PRICE.fullmatch(text)
    if not found:
        raise InvalidInput(name, text[:_SHOWN], _PRICE_WANTED)
    return float(found[1]), found[2].upper()


def stock_of(name: str, text: str) -> float | None:
    """Return pieces in stock; None for nothing. Raises InvalidInput."""
    if text and not _PIECES.fullmatch(text):
        raise InvalidInput(name, text[:_SHOWN], "a number of pieces from 0")
    return float(text) if text else None


def availability_of(text: str) -> str:
    """Return an availability in Google's words, whatever joins them. Raises InvalidInput."""
    word = _GAPS.sub("_", text.strip().lower())
    if word and word not in _SELLABLE and word not in _GONE:
        wanted = "in_stock, out_of_stock, preorder or backorder"
        raise InvalidInput("availability", text[:_SHOWN], wanted)
    return word


def is_sellable(availability: str) -> bool:
    """Return whether an availability lets an item be sold; so does one that is not told."""
    return availability not in _GONE


def instant_of(name: str, text: str) -> datetime | None:
    """Return an ISO 8601 time, UTC where it names no zone; None for nothing.

    Raises InvalidInput.
    """
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        wanted = "a time such as 2026-02-24T13:00+01:00"
        raise InvalidInput(name, text[:_SHOWN], wanted) from error


def holds_now(name: str, text: str, now: datetime) -> bool:
    """Return whether `now` lies in an interval of two times; always, where there is none.

    Raises InvalidInput.
    """
    if not text:
        return True
    start, sign, end = (part.strip() for part in text.partition("/"))
    first, last = instant_of(name, start), instant_of(name, end)
    if not sign or first is None or last is None or last < first:
        wanted = "two times with / between, the earlier first"
        raise InvalidInput(name, text[:_SHOWN], wanted)
    return first <= now < last


def category_of(name: str, text: str) -> str:
    """Return a path such as `Home > Kitchen`, the first where several follow each other.

    Raises InvalidInput for parts that are empty, come twice, or are too many.
    """
    whole = html.unescape(text)
    again = rf",\s*{re.escape(whole.partition('>')[0].strip())}\s*>"
    parts = [part.strip() for part in re.split(again, whole, maxsplit=1)[0].split(">")]
    if not all(parts):
        raise InvalidInput(name, text[:_SHOWN], "a path without empty parts, such as A > B > C")
    if len(set(parts)) < len(parts):
        wanted = "a path in which no part comes twice: a category does not lie within itself"
        raise InvalidInput(name, text[:_SHOWN], wanted)
    if len(parts) > _MOST_LEVELS:
        raise InvalidInput(name, text[:_SHOWN], f"a path of at most {_MOST_LEVELS} parts")
    return " > ".join(parts)
