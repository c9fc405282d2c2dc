"""Checks over whole columns. They refuse what `Event.check` and `Item.check` refuse."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.arrays import Mask
from recsys.events import LEAST_QUANTITY, MOST_QUANTITY, QUANTITY_WANTED, RATING_WANTED
from recsys.ids import MAX_ID_BYTES
from serving.importing.mapping import FieldMapping
from serving.importing.normal import as_mask, numbers, plain, texts
from serving.importing.tables import Batch
from serving.intake import ID_WANTED

_DIGITS = 4
_IDS = (
    "event_id", "item_id", "user_id", "visitor_id", "session_id", "order_id", "campaign_id",
    "group_id", "identifier",
)  # fmt: skip
_MOST_SHOWN = 64
_FIRST, _AFTER_LAST = datetime(1971, 1, 1, tzinfo=UTC), datetime(2106, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Check:
    """One demand on one field.

    bad: (n,) rows that do not meet it.
    came: what the file holds for the field.
    """

    field: str
    bad: Mask
    came: pa.Array
    wanted: str


@dataclass(frozen=True, slots=True)
class Fault:
    """The first demand that a row does not meet. row: its place in the batch."""

    row: int
    field: str
    came: Any
    wanted: str


def faults_of(checks: Sequence[Check], n_rows: int) -> tuple[Mask, list[Fault]]:
    """Return which rows are good, and the first fault of each other, by row."""
    good = np.ones(n_rows, dtype=np.bool_)
    faults: list[Fault] = []
    for check in checks:
        rows = np.flatnonzero(check.bad & good)
        came = plain(check.came.take(pa.array(rows)))
        faults += [
            Fault(row, check.field, value, check.wanted)
            for row, value in zip(rows.tolist(), came, strict=True)
        ]
        good[rows] = False
    return good, sorted(faults, key=lambda fault: fault.row)


def kinds_of_ids(batch: Batch, mapping: FieldMapping) -> list[Check]:
    """Return the demands that ids are texts: JSON may hold a list or an object in their place."""
    return [
        Check(name, batch.no_text[column], batch.rows.column(column), ID_WANTED)
        for name in _IDS
        if (column := mapping.columns.get(name, "")) in batch.no_text
    ]


def source(mapping: FieldMapping, name: str, batch: pa.RecordBatch) -> pa.Array | None:
    """Return the column behind a field as it came or as it is made, None where there is none."""
    if name in mapping.columns:
        return batch.column(mapping.columns[name])
    if name in mapping.constants:
        return pa.repeat(mapping.constants[name], batch.num_rows)
    if name in mapping.combine:
        return mapping.combine[name].fill(batch, mapping.words)
    if name in mapping.derived:
        ratio = mapping.derived[name]
        total, pieces = numbers(batch.column(ratio.total)), numbers(batch.column(ratio.count))
        return pc.round(pc.divide(total, pieces), _DIGITS)
    return None


def id_check(name: str, text: pa.Array, *, required: bool | Mask = False) -> Check:
    """Return the demand that texts are ids, as in `recsys.ids.check_id`.

    required: where there must be one.
    """
    return text_check(name, text, MAX_ID_BYTES, required=required)


def text_check(
    name: str, text: pa.Array, most_bytes: int, *, required: bool | Mask = False
) -> Check:
    """Return the demand on texts of `recsys.ids.check_text`. required: where there must be one."""
    bad = as_mask(pc.greater(pc.binary_length(text), most_bytes)) | _unprintable(text)
    missing = as_mask(pc.is_null(text)) & required
    came = pc.utf8_slice_codeunits(text, 0, _MOST_SHOWN)
    return Check(name, bad | missing, came, f"1 to {most_bytes} bytes of printable text")


def _unprintable(text: pa.Array) -> Mask:
    """Return (n,) which texts Python does not print; Arrow knows another version of Unicode."""
    unprintable = as_mask(pc.invert(pc.utf8_is_printable(text))).copy()
    beyond = np.flatnonzero(as_mask(pc.invert(pc.string_is_ascii(text))))
    unprintable[beyond] = [not one.isprintable() for one in text.take(pa.array(beyond)).to_pylist()]
    return unprintable


def word_check(
    name: str, word: pa.Array, came: pa.Array, words: Collection[str], *, required: bool = False
) -> Check:
    """Return the demand that words are of these. required: whether there must be one."""
    known = as_mask(pc.is_in(word, pa.array([*words], pa.string())))
    bad = ~known & (as_mask(pc.is_valid(word)) | required)
    return Check(name, bad, came, f"one of {', '.join(words)}")


def length_check(name: str, text: pa.Array, most: int) -> Check:
    """Return the demand that texts have at most so many characters, none of them NUL."""
    bad = as_mask(pc.greater(pc.utf8_length(text), most))
    bad |= as_mask(pc.match_substring(text, "\0"))
    shown = pc.utf8_slice_codeunits(text, 0, _MOST_SHOWN)
    return Check(name, bad, shown, f"at most {most} characters, none of them NUL")


def amount_check(name: str, amount: pa.Array, came: pa.Array) -> Check:
    """Return the demand on prices and stocks; none at all is allowed."""
    values = _floats(amount)
    bad = ~((values >= 0) & (values < 1e12)) & as_mask(pc.is_valid(amount))
    return Check(name, bad, came, "a number from 0 to 1e12")


def time_check(name: str, time: pa.Array, came: pa.Array) -> Check:
    """Return the demand that what is given is a time in 1971 to 2105."""
    inside = pc.and_(
        pc.greater_equal(time, pa.scalar(_FIRST, time.type)),
        pc.less(time, pa.scalar(_AFTER_LAST, time.type)),
    )
    given = pc.is_valid(texts(came) if pa.types.is_string(came.type) else came)
    wanted = "a time in 1971 to 2105: a timestamp, ISO 8601 text, or seconds since 1970"
    return Check(name, as_mask(given) & ~as_mask(inside), came, wanted)


def quantity_check(quantity: pa.Array, came: pa.Array) -> Check:
    """Return the demand on quantities; none at all means one piece."""
    values = _floats(quantity)
    inside = (values >= LEAST_QUANTITY) & (values < MOST_QUANTITY)
    return Check("quantity", ~inside & as_mask(pc.is_valid(quantity)), came, QUANTITY_WANTED)


def rating_check(rating: pa.Array, came: pa.Array, *, required: Mask) -> Check:
    """Return the demand on ratings. required: (n,) rows that are ratings; others have none."""
    values, given = _floats(rating), as_mask(pc.is_valid(rating))
    inside = (values >= 1) & (values <= 5)
    return Check("rating", (given != required) | (given & ~inside), came, RATING_WANTED)


def _floats(column: pa.Array) -> np.ndarray[Any, np.dtype[np.float64]]:
    found: np.ndarray[Any, np.dtype[np.float64]] = np.asarray(column.fill_null(np.nan))
    return found
