"""The columns of the lake's tables, in one place. Training reads them by these names."""

from __future__ import annotations

import pyarrow as pa

_INSTANT = pa.timestamp("us", tz="UTC")
_ATTRIBUTES = pa.list_(pa.struct([("name", pa.string()), ("value", pa.string())]))
_OFFERS = pa.list_(
    pa.struct(
        [
            ("market", pa.string()),
            ("price", pa.float64()),
            ("currency", pa.string()),
            ("available", pa.bool_()),
            ("sale_price", pa.float64()),
            ("stock", pa.float64()),
        ]
    )
)

NO_STATISTICS = {"delta.dataSkippingNumIndexedCols": "0"}
"""Setting of every table: its log says nothing of what its files hold, such as the least id."""

EVENTS = pa.schema(
    [
        pa.field("position", pa.int64(), nullable=False),
        pa.field("day", pa.date32(), nullable=False),
        pa.field("time", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("received", pa.timestamp("us", tz="UTC"), nullable=False),
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
        pa.field("outlet", pa.string(), nullable=False),
        pa.field("attribution_token", pa.string(), nullable=False),
        pa.field("rating", pa.float32()),
        pa.field("query", pa.string(), nullable=False),
        pa.field("category", pa.string(), nullable=False),
        pa.field("campaign_id", pa.string(), nullable=False),
        pa.field("robot", pa.bool_(), nullable=False),
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("market", pa.string()),
    ]
)
"""One row an event; partitioned by `day`, the UTC date of `time`. Texts not given are empty.

received: when the log took the event. item_row: -1 for an event without an item. market: null in
rows that were written before there was the column.
"""

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
        pa.field("description", pa.string(), nullable=False),
        pa.field("sale_price", pa.float64()),
        pa.field("stock", pa.float64()),
        pa.field("group_id", pa.string(), nullable=False),
        pa.field("hidden", pa.bool_(), nullable=False),
        pa.field("available_from", _INSTANT),
        pa.field("expires", _INSTANT),
        pa.field("attributes", _ATTRIBUTES),
        pa.field("offers", _OFFERS),
        pa.field("removed", pa.bool_(), nullable=False),
        pa.field("since", _INSTANT, nullable=False),
    ]
)
"""Descriptions of items as the drain found them; the newest position of an `item_row` holds.

Of changes between two drains the last is here. removed: the item is sold no more, and nothing else
of the row is true. since: when it was described first.
"""

VOCABULARY = pa.schema(
    [
        pa.field("item_row", pa.int32(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
    ]
)
"""The item behind each row; append-only."""

CUSTOMERS = pa.schema(
    [
        pa.field("kind", pa.string(), nullable=False),
        pa.field("customer_id", pa.string(), nullable=False),
        pa.field("first_seen", _INSTANT, nullable=False),
        pa.field("last_seen", _INSTANT, nullable=False),
        pa.field("first_order", _INSTANT),
        pa.field("last_order", _INSTANT),
        pa.field("orders", pa.int64(), nullable=False),
        pa.field("pieces", pa.float64(), nullable=False),
        pa.field("refunded_pieces", pa.float64(), nullable=False),
        pa.field("spent", pa.float64()),
        pa.field("currency", pa.string(), nullable=False),
        pa.field("events", pa.int64(), nullable=False),
        pa.field("impressions", pa.int64(), nullable=False),
        pa.field("clicks", pa.int64(), nullable=False),
        pa.field("detail_views", pa.int64(), nullable=False),
        pa.field("searches", pa.int64(), nullable=False),
        pa.field("cart_additions", pa.int64(), nullable=False),
        pa.field("wishlist_additions", pa.int64(), nullable=False),
        pa.field("purchases", pa.int64(), nullable=False),
        pa.field("refunds", pa.int64(), nullable=False),
        pa.field("ratings", pa.int64(), nullable=False),
        pa.field("channel", pa.string(), nullable=False),
        pa.field("last_email_sent", _INSTANT),
        pa.field("last_email_opened", _INSTANT),
        pa.field("last_email_clicked", _INSTANT),
        pa.field("unsubscribed_at", _INSTANT),
        pa.field("position", pa.int64(), nullable=False),
    ]
)
"""What the events add up to, one row a customer; robots are left out (`recsys.robots`).

kind: `user`, `visitor` or `session`, the first that an event names. orders: distinct order ids, and
days with purchases that have none. pieces: bought and kept. spent: of those, in `currency`, which
is that of most purchases; null where no price is known. channel: of most events. position: of the
last record of the log among the events.
"""

CUSTOMER_FACTS = pa.schema(
    [
        pa.field("position", pa.int64(), nullable=False),
        pa.field("fact", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("identifier", pa.string(), nullable=False),
        pa.field("other_kind", pa.string(), nullable=False),
        pa.field("other", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("value", pa.string()),
        pa.field("granted", pa.bool_(), nullable=False),
        pa.field("time", _INSTANT, nullable=False),
        pa.field("received", _INSTANT, nullable=False),
    ]
)
"""What the shop said of customers: `link`, `consent` or `attribute`.

kind, identifier: whom it is about, and `other_kind`, `other`: whom a link ties them to; else empty.
name: of an attribute; of a consent the purpose. value: of an attribute, null where it was taken
away; of a consent how it was given. granted: of a link, whether it stands. Of links with the same
two ends, and of attributes of one name, the highest position holds; of consents the latest `time`,
and of two at one time the refusal.
"""
