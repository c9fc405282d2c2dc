"""Rows of products: what a file may say of an item is what an item may say of itself."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from recsys.errors import InvalidInput
from recsys.items import MOST_CHARACTERS, Item
from serving.importing.items import items_of
from serving.importing.mapping import ITEM_COLUMNS, FieldMapping
from serving.importing.tables import Batch

TEXTS = [
    (name, length)
    for name, most in {**MOST_CHARACTERS, "item_id": 128, "group_id": 128}.items()
    for length in (most, most + 1, 10 << 20)
]


def fields_at_fault(row: dict[str, Any]) -> list[str]:
    columns = {name: pa.array([value]) for name, value in row.items()}
    mapping = FieldMapping(columns={name: name for name in row})
    _, faults = items_of(Batch(pa.RecordBatch.from_pydict(columns), [1]), mapping)
    return [fault.field for fault in faults]


def fields_refused(item: Item) -> list[str]:
    try:
        item.check()
    except InvalidInput as error:
        return [error.field]
    return []


@pytest.mark.parametrize(("name", "length"), TEXTS)
def test_text_is_as_long_in_a_file_as_in_an_item(name: str, length: int) -> None:
    row: dict[str, Any] = {"item_id": "tea", name: "x" * length}

    found = fields_at_fault(row)

    assert found == fields_refused(Item(**row))
    assert bool(found) is (length > MOST_CHARACTERS.get(name, 128))


def test_every_text_of_an_item_has_a_limit() -> None:
    limited = {*MOST_CHARACTERS, "item_id", "group_id"}
    others = {"price", "sale_price", "stock", "available", "hidden", "attributes", "offers"}

    assert {*ITEM_COLUMNS} - limited == others | {"available_from", "expires"}


def test_currency_of_many_megabytes_is_no_currency() -> None:
    assert fields_at_fault({"item_id": "tea", "currency": "EUR" * (3 << 20)}) == ["currency"]
