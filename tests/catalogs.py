"""Small catalogs drawn by chance, and what they say of an item, told with if-statements."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import strategies as st

from recsys.catalog import Catalog
from recsys.ids import ItemId
from recsys.items import Attribute, Item, Offer

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
IDS = tuple(f"i{row}" for row in range(7))
MARKETS = ("", "AT", "DE", "nowhere")

Items = Mapping[int, Item | None]
"""What is true of each row; None of one that was removed, nothing of one never described."""

_instants = st.none() | st.integers(-3, 3).map(lambda hours: NOW + timedelta(hours=hours))
_stocks = st.sampled_from([None, 0.0, 5.0])
_offers = st.lists(
    st.builds(
        Offer,
        market=st.sampled_from(["AT", "DE", "CH"]),
        price=st.sampled_from([None, 2.0, 3.0]),
        available=st.booleans(),
        sale_price=st.sampled_from([None, 1.0]),
        stock=_stocks,
    ),
    max_size=2,
    unique_by=lambda offer: offer.market,
).map(tuple)

attributes = st.lists(
    st.builds(
        Attribute,
        st.sampled_from(["color", "size", "price"]),
        st.sampled_from(["red", "38", "1.5", "XL"]),
    ),
    max_size=3,
).map(tuple)


@st.composite
def items(draw: st.DrawFn, row: int) -> Item:
    """Draw the description of one row."""
    return Item(
        ItemId(IDS[row]),
        title=draw(st.sampled_from(["", "Shirt", "Hat"])),
        category=draw(st.sampled_from(["", "Clothes", "Food > Bread"])),
        brand=draw(st.sampled_from(["", "Acme"])),
        price=draw(st.sampled_from([None, 1.0, 2.5])),
        available=draw(st.sampled_from([True, True, False])),
        url=draw(st.sampled_from(["", "https://shop/1"])),
        sale_price=draw(st.sampled_from([None, 0.5])),
        stock=draw(_stocks),
        group_id=draw(st.sampled_from(["", "shirts", "shirts", "hats", *IDS[:3]])),
        hidden=draw(st.sampled_from([False, False, True])),
        available_from=draw(_instants),
        expires=draw(_instants),
        offers=draw(_offers),
        attributes=draw(attributes),
    )


@st.composite
def drawn(draw: st.DrawFn, n_rows: int = len(IDS)) -> Items:
    """Draw what is true of some of the rows."""
    chosen = draw(st.sets(st.integers(0, n_rows - 1)) | st.just(range(n_rows)))
    return {row: draw(st.none() | items(row)) for row in sorted(chosen)}


def sold(items: Items, row: int, market: str, now: datetime) -> bool:
    """Return whether the item itself may be shown."""
    item = items.get(row)
    if item is None or item.hidden or not in_season(item, now):
        return False
    if not market or not item.offers:
        return item.available and item.stock != 0
    return any(o.available and o.stock != 0 for o in item.offers if o.market == market)


def in_season(item: Item, now: datetime) -> bool:
    """Return whether selling has begun and not ended."""
    begun = item.available_from is None or item.available_from <= now
    return begun and (item.expires is None or now < item.expires)


def group(items: Items, row: int) -> str:
    """Return the name of the item's group; empty for an item alone."""
    item = items.get(row)
    if item is not None and item.group_id:
        return item.group_id
    named = {other.group_id for other in items.values() if other is not None}
    return IDS[row] if IDS[row] in named else ""


def variants(items: Items, row: int, n_rows: int) -> list[int]:
    """Return the rows of the item's group, its own among them."""
    name = group(items, row)
    return [other for other in range(n_rows) if name and group(items, other) == name] or [row]


def primary(items: Items, row: int, n_rows: int) -> int:
    """Return the row that stands for the item."""
    rows = variants(items, row, n_rows)
    for one in rows:
        if IDS[one] == group(items, row):
            return one
    return rows[0]


def face(items: Items, row: int, n_rows: int, market: str, now: datetime) -> int | None:
    """Return the row to show for a primary; None where nothing of it may be shown."""
    rows = variants(items, row, n_rows)
    if row != primary(items, row, n_rows):
        return None
    there = [one for one in rows if sold(items, one, market, now)]
    if not there:
        return None
    if row in there:
        return row
    item = items.get(row)
    if IDS[row] == group(items, row) and item is not None and not item.hidden:
        kept_away = market and item.offers and market not in {o.market for o in item.offers}
        if in_season(item, now) and not kept_away:
            return row
    return there[0]


def told(catalog: Catalog) -> list[object]:
    """Return all that a catalog says of each row, names instead of places."""
    return [_row(catalog, row) for row in range(len(catalog))]


def _row(catalog: Catalog, row: int) -> object:
    offers, items, groups = catalog.offers, catalog.items, catalog.groups
    own = range(offers.offsets[row], offers.offsets[row + 1])
    terms = {
        catalog.market_names[offers.markets[place]]: (
            str(offers.prices[place]),
            str(offers.sale_prices[place]),
            bool(offers.sellable[place]),
            str(offers.stocks[place]),
        )
        for place in own
    }
    alone = int((groups.codes == groups.codes[row]).sum()) == 1
    return (
        catalog.titles[row],
        catalog.category_names[catalog.categories[row]],
        catalog.brand_names[catalog.brands[row]],
        catalog.urls[row],
        [str(getattr(items, name)[row]) for name in items.__slots__],
        catalog.attributes.at(row),
        terms,
        "" if alone else groups.names[groups.codes[row]],
        int(groups.primaries[row]),
        bool(groups.parents[row]) and not alone,
    )


def seconds(instant: datetime) -> int:
    """Return the second of an instant."""
    return int(np.floor(instant.timestamp()))
