"""The columns of the lake's tables, in one place. Training reads them by these names."""

from __future__ import annotations

import pyarrow as pa

EVENTS = pa.schema(
    [
        pa.field("position", pa.int64(), nullable=False),
        pa.field("day", pa.date32(), nullable=False),
        pa.field("time", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("type", pa.string(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("item_row", pa.int32(), nullable=False),
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("visitor_id", pa.string(), nullable=False),
        pa.field("session_id", pa.string(), nullable=False),
        pa.field("quantity", pa.float32(), nullable=False),
        pa.field("price", pa.float64()),
        pa.field("currency", pa.string(), nullable=False),
        pa.field("order_id", pa.string(), nullable=False),
        pa.field("channel", pa.string(), nullable=False),
        pa.field("attribution_token", pa.string(), nullable=False),
        pa.field("event_id", pa.string(), nullable=False),
    ]
)
"""One row an event; partitioned by `day`, the UTC date of `time`. Texts not given are empty."""

ITEMS = pa.schema(
    [
        pa.field("position", pa.int64(), nullable=False),
        pa.field("item_row", pa.int32(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("title", pa.string(), nullable=False),
        pa.field("category", pa.string(), nullable=False),
        pa.field("brand", pa.string(), nullable=False),
        pa.field("price", pa.float64()),
        pa.field("currency", pa.string(), nullable=False),
        pa.field("available", pa.bool_(), nullable=False),
        pa.field("url", pa.string(), nullable=False),
        pa.field("image_url", pa.string(), nullable=False),
    ]
)
"""Every version of every item; the newest position of an `item_row` holds."""

VOCABULARY = pa.schema(
    [
        pa.field("item_row", pa.int32(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
    ]
)
"""The item behind each row; append-only."""
