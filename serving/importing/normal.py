"""Columns of a file, whatever their type, as texts, numbers, times and flags."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.arrays import Mask

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$"
_CLOCK = r"^\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d([.]\d{1,6})?)?)?$"
_ZONED = r"^\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d([.]\d{1,6})?)?(Z|[+-]\d\d(:?\d\d)?)$"
_MICROSECONDS = pa.timestamp("us", tz="UTC")
_TRUE = ("true", "t", "yes", "y", "1", "in stock", "in_stock", "available")
_FALSE = ("false", "f", "no", "n", "0", "out of stock", "out_of_stock", "unavailable")
# A count since 1970 is in milliseconds from 1e11 on (March 1973; in seconds, the year 5138).
_FIRST_MILLISECONDS = 1e11
_FIRST_MICROSECONDS = 1e14
_LAST_MICROSECONDS = 9e15
_FIRST, _LAST = datetime(1700, 1, 1, tzinfo=UTC), datetime(2250, 1, 1, tzinfo=UTC)


def texts(column: pa.Array) -> pa.Array:
    """Return the column as texts without outer spaces; null where there is nothing.

    Whole numbers are written without a point, so that an id does not become `123.0` because
    another row of its column is empty.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_floating(column.type):
        column = _whole(column)
    if pa.types.is_null(column.type):
        return column.cast(pa.string())
    text = column if pa.types.is_string(column.type) else column.cast(pa.string())
    trimmed = pc.utf8_trim_whitespace(text)
    return pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)


def numbers(column: pa.Array) -> pa.Array:
    """Return the column as float64; null where there is nothing, NaN where it is no number."""
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return column.cast(pa.float64(), safe=False)
    text = texts(column)
    good = pc.match_substring_regex(text, _NUMBER)
    found = pc.if_else(good, text, pa.scalar(None, pa.string())).cast(pa.float64())
    return pc.if_else(pc.invert(good.fill_null(True)), float("nan"), found)


def flags(column: pa.Array) -> tuple[pa.Array, Mask]:
    """Return the column as booleans, and where it holds something that is neither yes nor no."""
    text = pc.utf8_lower(texts(column))
    true = pc.is_in(text, pa.array(_TRUE))
    false = pc.is_in(text, pa.array(_FALSE))
    bad = pc.and_(pc.is_valid(text), pc.invert(pc.or_(true, false)))
    return pc.if_else(pc.or_(true, false), true, pa.scalar(None, pa.bool_())), as_mask(bad)


def times(column: pa.Array, zone: str) -> pa.Array:
    """Return the column as instants in UTC; null where there is nothing, or no time.

    Timestamps, dates, ISO 8601 texts, and seconds, milliseconds or microseconds since 1970.
    zone: of what comes without one.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        return times(column.dictionary_decode(), zone)
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        column = _countable(column)
    if pa.types.is_date(kind):
        return _in_zone(column.cast(pa.timestamp("us")), zone)
    if pa.types.is_timestamp(kind):
        exact = column.cast(pa.timestamp("us", tz=kind.tz), safe=False)
        return exact.cast(_MICROSECONDS) if kind.tz else _in_zone(exact, zone)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _since_1970(column)
    return _times_of_texts(texts(column), zone)


def plain(column: pa.Array) -> list[Any]:
    """Return values as Python has them; as texts where it has not, as for the year 10,000."""
    try:
        return list(column.to_pylist())
    except (OverflowError, ValueError):
        return list(column.cast(pa.string()).to_pylist())


def as_mask(column: pa.Array | pa.ChunkedArray) -> Mask:
    """Return booleans as (n,) bool; null counts as false."""
    filled: Mask = np.asarray(column.fill_null(False)).astype(np.bool_)
    return filled


def _whole(column: pa.Array) -> pa.Array:
    """Return floats as integers when all of them are whole."""
    values = column.drop_null()
    exact = pc.and_(pc.equal(values, pc.floor(values)), pc.less(pc.abs(values), 2.0**53))
    whole = pc.all(exact, min_count=0).as_py()
    return column.cast(pa.int64()) if whole else column


def _countable(column: pa.Array) -> pa.Array:
    """Return dates or timestamps, null where microseconds or nanoseconds cannot count so far."""
    first, last = (pa.scalar(bound, column.type) for bound in (_FIRST, _LAST))
    inside = pc.and_(pc.greater_equal(column, first), pc.less_equal(column, last))
    return pc.if_else(inside, column, pa.scalar(None, column.type))


def _since_1970(column: pa.Array) -> pa.Array:
    count = np.asarray(column.cast(pa.float64(), safe=False).fill_null(np.nan))
    size = np.abs(count)
    scale = np.where(
        size < _FIRST_MILLISECONDS, 1e6, np.where(size < _FIRST_MICROSECONDS, 1e3, 1.0)
    )
    good = np.isfinite(count) & (size < _LAST_MICROSECONDS)
    whole = np.round(np.where(good, count * scale, 0)).astype(np.int64)
    return pa.array(whole, pa.int64(), mask=~good).cast(_MICROSECONDS)


def _times_of_texts(text: pa.Array, zone: str) -> pa.Array:
    """Return each text's instant by the form it has: a clock's, a clock's with zone, a number."""
    nothing = pa.nulls(len(text), _MICROSECONDS)
    counted = pc.match_substring_regex(text, _NUMBER).fill_null(False)
    zoned = pc.match_substring_regex(text, _ZONED).fill_null(False)
    plain = pc.match_substring_regex(text, _CLOCK).fill_null(False)
    found = nothing
    for chosen, read in (
        (counted, lambda part: _since_1970(part.cast(pa.float64()))),
        (zoned, lambda part: _cast_each(part, _MICROSECONDS)),
        (plain, lambda part: _in_zone(_cast_each(part, pa.timestamp("us")), zone)),
    ):
        if pc.any(chosen).as_py():
            found = pc.replace_with_mask(found, chosen, _read(read, text.filter(chosen)))
    return found


def _read(read: Callable[[pa.Array], pa.Array], part: pa.Array) -> pa.Array:
    return read(part)


def _cast_each(part: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return the texts as timestamps; null for those such as 30 February."""
    try:
        return part.cast(kind)
    except pa.ArrowInvalid:
        return pa.array([_instant(text, kind) for text in part.to_pylist()], kind)


def _instant(text: str, kind: pa.DataType) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if kind.tz else found
    except (ValueError, OverflowError):
        return None


def _in_zone(clock: pa.Array, zone: str) -> pa.Array:
    """Return clock times of a zone as instants; an hour that comes twice is the first."""
    local = pc.assume_timezone(
        clock, str(ZoneInfo(zone)), ambiguous="earliest", nonexistent="earliest"
    )
    return local.cast(_MICROSECONDS)
