"""Items as the lake has them, of whatever age their table is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from recsys.ids import ItemId
from recsys.items import Attribute, Item, Offer

ITEM_COLUMNS = (
    *("title", "category", "brand", "price", "currency", "available", "url", "image_url"),
    *("description", "sale_price", "stock", "group_id", "hidden", "available_from", "expires"),
)
"""Columns of the table that are fields of an `Item` as they are. Older tables have fewer."""


def items_of(items: pa.Table) -> Iterator[tuple[int, Item | None]]:
    """Yield the row of each item with its newest description; None where it was removed."""
    wanted = ("item_row", "item_id", "removed", "attributes", "offers", *ITEM_COLUMNS)
    there = items.select([name for name in wanted if name in items.column_names])
    for batch in there.to_batches(max_chunksize=10_000):
        for line in batch.to_pylist():
            yield line["item_row"], None if line.get("removed") else _item(line)


def first_described(items: pa.Table) -> dict[int, int]:
    """Return the second at which the item of each row was described first, where that is known."""
    if "since" not in items.column_names:
        return {}
    seconds = pc.divide(pc.cast(items["since"], pa.int64()), 1_000_000)
    pairs = zip(items["item_row"].to_pylist(), seconds.to_pylist(), strict=True)
    return {row: second for row, second in pairs if second is not None}


def _item(line: Mapping[str, Any]) -> Item:
    fields = {name: line[name] for name in ITEM_COLUMNS if line.get(name) is not None}
    return Item(
        ItemId(line["item_id"]),
        attributes=tuple(Attribute(**one) for one in line.get("attributes") or ()),
        offers=tuple(Offer(**one) for one in line.get("offers") or ()),
        **fields,
    )
