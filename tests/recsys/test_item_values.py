from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.assortment import Assortment
from recsys.catalog import Catalog
from recsys.fields import ITEM_FIELDS, schema_of
from recsys.ids import ItemId, Vocabulary
from recsys.item_values import AssortmentValues, ShelfValues
from recsys.items import Attribute, Item, Offer
from recsys.market_values import MOST_COLUMNS
from recsys.predicates.parser import parse
from recsys.predicates.predicate import check
from recsys.predicates.values import UNKNOWN_TIME, Coded, CodedLists, Scope, Value, ValueType
from tests import catalogs

N_ROWS = len(catalogs.IDS)
NOW = catalogs.seconds(catalogs.NOW)
SINCE = 1_700_000_000


def catalog(items: catalogs.Items) -> Catalog:
    return Catalog.of(Vocabulary.of(catalogs.IDS), items, {0: SINCE})


def of(items: catalogs.Items, market: str = "", now: int = NOW) -> ShelfValues:
    return AssortmentValues(Assortment.of(catalog(items))).of(market, now)


def item(row: int, *attributes: Attribute, **fields: object) -> Item:
    return Item(ItemId(catalogs.IDS[row]), attributes=attributes, **fields)  # type: ignore[arg-type]


def texts(coded: Coded) -> list[str]:
    return [coded.names[code] for code in coded.codes.tolist()]


def lists(coded: CodedLists) -> list[list[str]]:
    bounds = coded.offsets.tolist()
    return [
        [coded.names[code] for code in coded.codes[start:end].tolist()]
        for start, end in pairwise(bounds)
    ]


def dated(times: list[int]) -> list[int | None]:
    return [None if time == UNKNOWN_TIME else time for time in times]


@given(data=st.data(), hours=st.integers(-4, 4), market=st.sampled_from(catalogs.MARKETS))
@settings(max_examples=200)
def test_values_are_those_of_what_is_shown_told_with_if_statements(
    data: st.DataObject, hours: int, market: str
) -> None:
    items = {0: None, **data.draw(catalogs.drawn())}
    now = catalogs.NOW + timedelta(hours=hours)

    found = of(items, market, catalogs.seconds(now))

    shown = [catalogs.face(items, row, N_ROWS, market, now) for row in range(N_ROWS)]
    rows = [row if face is None else face for row, face in enumerate(shown)]
    faces = [items.get(row) or Item(ItemId(catalogs.IDS[row])) for row in rows]
    assert texts(found.texts("item_id")) == [one.item_id for one in faces]
    assert texts(found.texts("title")) == [one.title for one in faces]
    assert (found.texts("title").codes > 0).tolist() == [bool(one.title) for one in faces]
    assert texts(found.texts("category")) == [one.category for one in faces]
    assert texts(found.texts("brand")) == [one.brand for one in faces]
    assert texts(found.texts("group")) == [catalogs.group(items, row) for row in rows]
    assert found.flags("has_url").tolist() == [bool(one.url) for one in faces]
    assert found.flags("has_image").tolist() == [False] * N_ROWS
    assert dated(found.times("expires").tolist()) == [
        one.expires and catalogs.seconds(one.expires) for one in faces
    ]
    assert dated(found.times("available_from").tolist()) == [
        one.available_from and catalogs.seconds(one.available_from) for one in faces
    ]
    assert dated(found.times("since").tolist()) == [None if row else SINCE for row in rows]
    prices = [price_in(one, market) for one in faces]
    np.testing.assert_array_equal(found.numbers("price"), [paid for paid, _ in prices])
    np.testing.assert_array_equal(found.numbers("list_price"), [price for _, price in prices])
    assert found.flags("on_sale").tolist() == [paid < price for paid, price in prices]


def price_in(item: Item, market: str) -> tuple[float, float]:
    """Return what is to be paid in a market, and the price before a sale; NaN where unknown."""
    terms: Item | Offer | None = item
    if market and item.offers:
        terms = next((offer for offer in item.offers if offer.market == market), None)
    if terms is None:
        return np.nan, np.nan
    price = np.nan if terms.price is None else terms.price
    return (price if terms.sale_price is None else terms.sale_price), price


@given(items=catalogs.drawn())
def test_attributes_are_those_of_what_is_shown(items: catalogs.Items) -> None:
    items = {0: None, **items}

    found = of(items)

    shown = [catalogs.face(items, row, N_ROWS, "", catalogs.NOW) for row in range(N_ROWS)]
    faces = [items.get(row if face is None else face) for row, face in enumerate(shown)]
    for name in ("color", "size", "price"):
        values = [
            [one.value for one in face.attributes if one.name == name] if face else []
            for face in faces
        ]
        field = "attributes.price" if name == "price" else name
        every = {
            one.value
            for any_ in items.values()
            if any_
            for one in any_.attributes
            if one.name == name
        }
        if not every:
            with pytest.raises(ValueError, match="no item has"):
                found.lists(field)
        elif every <= {"38", "1.5"}:
            wanted = [float(texts[0]) if texts else np.nan for texts in values]
            np.testing.assert_array_equal(found.numbers(field), wanted)
        else:
            assert lists(found.lists(field)) == values
            assert min(found.lists(field).codes, default=1) > 0


def test_primary_has_the_values_of_the_variant_that_is_shown_in_its_stead() -> None:
    small = item(0, Attribute("size", "S"), group_id="shirts", price=9.99, available=False)
    large = item(1, Attribute("size", "L"), group_id="shirts", price=12.99, stock=4.0)

    found = of({0: small, 1: large})

    assert lists(found.lists("size"))[:2] == [["L"], ["L"]]
    assert found.numbers("price")[:2].tolist() == [12.99, 12.99]
    assert found.numbers("stock")[:2].tolist() == [4.0, 4.0]
    assert texts(found.texts("item_id"))[:2] == ["i1", "i1"]
    assert found.own.numbers("price")[:2].tolist() == [9.99, 12.99]


def test_every_field_is_there_under_its_type_alone() -> None:
    found = of({0: item(0, Attribute("color", "red"), Attribute("size", "38"))})
    readers = {
        ValueType.NUMBER: found.numbers,
        ValueType.TEXT: found.texts,
        ValueType.CATEGORY: found.texts,
        ValueType.TEXTS: found.lists,
        ValueType.TIME: found.times,
        ValueType.FLAG: found.flags,
    }
    fields = {one.name: one.type for one in ITEM_FIELDS}
    fields |= {"color": ValueType.TEXTS, "size": ValueType.NUMBER}

    for name, kind in fields.items():
        for read in readers.values():
            if read == readers[kind]:
                assert read(name) is read(name)
            else:
                with pytest.raises(ValueError, match=name):
                    read(name)


def test_name_that_no_field_has_is_refused() -> None:
    found = of({0: item(0, Attribute("color", "red"))})

    for name in ("colour", "attributes.color", "seed.price"):
        with pytest.raises(ValueError, match="no item has"):
            found.lists(name)


def test_columns_cannot_be_written_to() -> None:
    small = item(0, Attribute("size", "S"), group_id="shirts", available=False)

    found = of({0: small, 1: replace(small, item_id=ItemId("i1"), available=True)})

    for column in (
        found.numbers("price"),
        found.numbers("discount"),
        found.texts("title").codes,
        found.lists("size").codes,
        found.times("since"),
        found.flags("has_url"),
    ):
        assert not column.flags.writeable


def test_values_stay_the_same_until_something_else_is_shown() -> None:
    begins = catalogs.NOW + timedelta(hours=1)
    late = item(0, group_id="shirts", available_from=begins)
    made = AssortmentValues(Assortment.of(catalog({0: late, 1: item(1, group_id="shirts")})))

    now, soon, then = (made.of("", NOW + second) for second in (0, 60, 3_600))

    assert now is soon
    assert now is not then
    assert now.own is then.own
    assert texts(now.texts("item_id"))[0] == "i1"
    assert texts(then.texts("item_id"))[0] == "i0"


def test_another_date_that_changes_nothing_shown_keeps_the_values() -> None:
    ends = item(0, expires=catalogs.NOW + timedelta(hours=1))
    made = AssortmentValues(Assortment.of(catalog({0: ends})))

    assert made.of("", NOW) is made.of("", NOW + 3_600)


def test_markets_that_no_item_names_are_one() -> None:
    made = AssortmentValues(Assortment.of(catalog({0: item(0, price=1.0)})))

    assert made.of("nowhere", NOW) is made.of("elsewhere", NOW)
    assert made.of("", NOW) is not made.of("nowhere", NOW)


def test_columns_that_were_asked_for_are_made_before_they_are_asked_for_again() -> None:
    items = {0: item(0, Attribute("color", "red"), Attribute("size", "38"))}
    before = AssortmentValues(Assortment.of(catalog(items)))
    for read, name in (("numbers", "price"), ("lists", "color"), ("numbers", "size")):
        getattr(before.of("DE", NOW), read)(name)
    items = {0: item(0, Attribute("size", "XL"), price=3.0)}  # nobody has a color any more

    after = AssortmentValues(Assortment.of(catalog(items)))
    after.prepare(before, NOW)

    assert list(after.shelves) == list(before.shelves)
    assert set(after.of("DE", NOW).kept) == {"price", "size"}
    assert after.of("DE", NOW).numbers("price")[0] == 3.0


def test_only_the_columns_asked_for_last_are_kept() -> None:
    names = [f"a{number}" for number in range(MOST_COLUMNS + 1)]
    found = of({0: item(0, *(Attribute(name, "x") for name in names))})

    for name in names:
        found.lists(name)

    assert list(found.kept) == list(found.own.kept) == names[1:]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("price < 10", [1]),
        ("price = 9.99", [1]),
        ("discount >= 0.5", [1]),
        ("on_sale and stock > 3", [1]),
        ('color has any ("red")', [0, 2]),
        ("size >= 40 or attributes.price is known", [1, 2]),
        ('category under "Clothes"', [0, 1]),
        ('title contains "hat"', [2]),
        ("expires is unknown", [0, 1, 2]),
        ("since > now - 365 days", [0]),
        ("price <= context.seed.price", [1]),
    ],
)
def test_filters_find_what_they_ask_for(text: str, rows: list[int]) -> None:
    red = Attribute("color", "red")
    shirt = item(0, red, Attribute("size", "38"), category="Clothes > Shirts", price=12.0)
    hat = item(2, red, Attribute("price", "low"), title="Red Hat", price=30.0)
    sale = item(1, Attribute("size", "40"), category="Clothes", price=19.98, stock=5.0)
    items: catalogs.Items = {0: shirt, 1: replace(sale, sale_price=9.99), 2: hat}
    predicate = check(parse(text), schema_of(catalog(items)))
    seed: dict[tuple[Scope, str], Value] = {(Scope.CONTEXT, "seed.price"): 10.0}

    mask = predicate.mask(of(items), seed, SINCE + 86_400)

    assert np.flatnonzero(mask[:3]).tolist() == rows
