"""Rows of a file as items of the catalog."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from recsys.items import MOST_CHARACTERS
from serving.importing.checks import (
    Check,
    Fault,
    amount_check,
    faults_of,
    id_check,
    length_check,
    time_check,
)
from serving.importing.checks import source as source_of
from serving.importing.encode import ItemLines, item_lines
from serving.importing.mapping import ITEM_COLUMNS, FieldMapping
from serving.importing.nested import attributes_column, offers_column
from serving.importing.normal import flags, numbers, texts, times
from serving.importing.tables import Batch

Field = tuple[pa.Array, Check]
"""A field's column as an item keeps it, null for the default, and the demand on it."""


def items_of(batch: Batch, mapping: FieldMapping) -> tuple[ItemLines, list[Fault]]:
    """Return the good rows as lines of the register, and the first fault of each other row."""
    columns: dict[str, pa.Array] = {}
    checks: list[Check] = []
    for name in ITEM_COLUMNS:
        came = source_of(mapping, name, batch.rows)
        if came is not None:
            columns[name], check = _field(name, came, mapping.zone)
            checks.append(check)
    good, faults = faults_of(checks, batch.rows.num_rows)
    if faults:
        kept = pa.array(good)
        columns = {name: column.filter(kept) for name, column in columns.items()}
    return item_lines(columns), faults


def _field(name: str, came: pa.Array, zone: str) -> Field:
    if name in _READERS:
        return _READERS[name](came)
    if name in ("available_from", "expires"):
        time = times(came, zone)
        return time.cast(pa.int64()), time_check(name, time, came)
    text = texts(came)
    if name in ("item_id", "group_id"):
        return text, id_check(name, text, required=name == "item_id")
    return text, length_check(name, text, MOST_CHARACTERS[name])


def _amount(name: str, came: pa.Array) -> Field:
    amount = numbers(came)
    return amount, amount_check(name, amount, came)


def _flag(name: str, default: bool, came: pa.Array) -> Field:
    said, bad = flags(came)
    kept = pc.if_else(pc.equal(said, default), pa.scalar(None, pa.bool_()), said)
    return kept, Check(name, bad, came, "true or false")


_READERS: Mapping[str, Callable[[pa.Array], Field]] = {
    "price": partial(_amount, "price"),
    "sale_price": partial(_amount, "sale_price"),
    "stock": partial(_amount, "stock"),
    "available": partial(_flag, "available", True),
    "hidden": partial(_flag, "hidden", False),
    "attributes": attributes_column,
    "offers": offers_column,
}
