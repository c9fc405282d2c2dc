"""Rows of a file as items of the catalog."""

from __future__ import annotations

import pyarrow as pa

from recsys.catalog import MOST_CHARACTERS
from serving.importing.checks import Check, Fault, faults_of, id_check, length_check, price_check
from serving.importing.checks import source as source_of
from serving.importing.encode import item_lines
from serving.importing.mapping import FieldMapping
from serving.importing.normal import flags, numbers, texts
from serving.importing.tables import Batch
from serving.log.records import ITEM_FIELDS, Lines


def items_of(batch: Batch, mapping: FieldMapping) -> tuple[Lines, list[Fault]]:
    """Return the good rows as lines of the log, and the first fault of each other row."""
    columns: dict[str, pa.Array] = {}
    checks: list[Check] = []
    for name in ITEM_FIELDS:
        came = source_of(mapping, name, batch.rows)
        if came is not None:
            columns[name], check = _field(name, came)
            checks.append(check)
    good, faults = faults_of(checks, batch.rows.num_rows)
    if faults:
        kept = pa.array(good)
        columns = {name: column.filter(kept) for name, column in columns.items()}
    return item_lines(columns), faults


def _field(name: str, came: pa.Array) -> tuple[pa.Array, Check]:
    """Return a field's column in its type, and the demand on it."""
    if name == "price":
        price = numbers(came)
        return price, price_check(price, came)
    if name == "available":
        available, bad = flags(came)
        return available, Check(name, bad, came, "true or false")
    text = texts(came)
    if name == "item_id":
        return text, id_check(name, text, required=True)
    return text, length_check(name, text, MOST_CHARACTERS[name])
