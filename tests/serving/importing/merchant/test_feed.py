"""A feed is taken as it is, and says the same in every kind of file."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from recsys.errors import InvalidInput
from recsys.ids import ItemId
from recsys.items import Attribute, Item, Offer
from serving.importing import json_files
from serving.importing.job import ImportCounts
from tests.serving.importing.catalog import CatalogImporter
from tests.serving.importing.importer import rejected
from tests.serving.importing.merchant.feeds import GOOGLE, rss, written

TEA = Item(
    ItemId("tea"),
    title="Tea & Co",
    category="Food > Tea > Green",
    brand="Leaf",
    price=12.99,
    currency="EUR",
    url="https://shop.example/tea",
    image_url="https://shop.example/tea.jpg",
    description="Green tea",
    sale_price=9.99,
    stock=7.0,
    group_id="teas",
    expires=datetime(2024, 6, 1, 11, tzinfo=UTC),
    attributes=(
        Attribute("google_product_category", "2073"),
        Attribute("color", "green"),
        Attribute("custom_label_0", "promo"),
        Attribute("General/Form", "loose"),
        Attribute("season", "spring"),
    ),
)
FIELDS = {
    "google_product_category": "2073",
    "availability": "in_stock",
    "brand": "Leaf",
    "price": "12.99 EUR",
    "sale_price": "9.99 EUR",
    "sale_price_effective_date": "2024-04-30T13:00-0800/2024-05-10T15:30-0800",
    "quantity": "7",
    "item_group_id": "teas",
    "expiration_date": "2024-06-01T13:00+02:00",
    "image_link": "https://shop.example/tea.jpg",
    "color": "green",
    "custom_label_0": "promo",
    "product_type": "Food > Tea > Green",
}
TAGS = "".join(
    f"<g:{name}>{value.replace('>', '&gt;')}</g:{name}>\n" for name, value in FIELDS.items()
) + (
    "<g:product_type>Sale</g:product_type>"
    "<g:product_detail><g:section_name>General</g:section_name>"
    "<g:attribute_name>Form</g:attribute_name><g:attribute_value>loose</g:attribute_value>"
    "</g:product_detail><c:season type='string'>spring</c:season>"
    "<g:shipping><g:country>DE</g:country><g:price>4 EUR</g:price></g:shipping>"
)
RSS = rss(
    "<item><title>Tea &amp; Co</title><link>https://shop.example/tea</link>"
    f"<description><![CDATA[ Green tea ]]></description><g:id>tea</g:id>{TAGS}</item>"
)
ATOM = (
    f'<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom" {GOOGLE}><title>Shop</title>'
    '<entry><title>Tea &amp; Co</title><link rel="alternate" href="https://shop.example/tea"/>'
    f"<summary>Green tea</summary><id>tag:x</id><g:id>tea</g:id>{TAGS}</entry></feed>"
)
ROW = {
    "id": "tea",
    "title": '"Tea & Co"',
    "link": "https://shop.example/tea",
    "description": "Green tea",
    **FIELDS,
    "product_type": "Food > Tea > Green, Food > Sale",
    "product_detail": "General:Form:loose",
    "season": "spring",
    "shipping(country:price)": "DE:4 EUR",
}
TSV = "\n".join("\t".join(line) for line in (ROW, ROW.values()))
SPACED = "\n".join("\t".join(line) for line in ([n.replace("_", " ") for n in ROW], ROW.values()))
CONTENT = {
    "id": "online:de:DE:tea",
    "offerId": "tea",
    "title": "Tea & Co",
    "link": "https://shop.example/tea",
    "description": "Green tea",
    "googleProductCategory": "2073",
    "availability": "in stock",
    "brand": "Leaf",
    "price": {"value": "12.99", "currency": "EUR"},
    "salePrice": {"value": "9.99", "currency": "EUR"},
    "salePriceEffectiveDate": FIELDS["sale_price_effective_date"],
    "sellOnGoogleQuantity": 7,
    "itemGroupId": "teas",
    "expirationDate": "2024-06-01T13:00+02:00",
    "imageLink": "https://shop.example/tea.jpg",
    "color": "green",
    "customLabel0": "promo",
    "productTypes": ["Food > Tea > Green", "Sale"],
    "productDetails": [
        {"sectionName": "General", "attributeName": "Form", "attributeValue": "loose"}
    ],
    "customAttributes": [{"name": "season", "value": "spring"}],
    "shipping": [{"country": "DE", "price": {"value": "4", "currency": "EUR"}}],
}
_OUTSIDE = ("id", "offerId", "customAttributes")
MERCHANT = {
    "name": "accounts/1/products/de~DE~tea",
    "offerId": "tea",
    "customAttributes": CONTENT["customAttributes"],
    "productAttributes": {
        **{name: CONTENT[name] for name in CONTENT if name not in _OUTSIDE},
        "availability": "IN_STOCK",
        "price": {"amountMicros": "12990000", "currencyCode": "EUR"},
        "salePrice": {"amountMicros": "9990000", "currencyCode": "EUR"},
        "salePriceEffectiveDate": {
            "startTime": "2024-04-30T21:00:00Z",
            "endTime": "2024-05-10T23:30:00Z",
        },
    },
}
ONE = orjson.dumps(CONTENT)
FILES: dict[str, str | bytes] = {
    "feed.xml": RSS,
    "feed.rss": "\n" + RSS,
    "feed": RSS,
    "feed.atom": ATOM,
    "latin.xml": ('<?xml version="1.0" encoding="iso-8859-1"?>' + RSS).encode("latin-1"),
    "wide.xml": ('<?xml version="1.0" encoding="utf-16"?>' + RSS).encode("utf-16"),
    "packed.xml.gz": gzip.compress(RSS.encode()),
    "feed.tsv": TSV,
    "spaced.txt": "\ufeff" + SPACED + "\r\n\r\n",
    "packed.tsv.gz": gzip.compress(TSV.encode()),
    "one.json": ONE,
    "list.json": b"[" + ONE + b"]",
    "lines.jsonl": ONE + b"\n",
    "lines.json": ONE + b"\n",
    "page.json": orjson.dumps({"kind": "x", "resources": [CONTENT], "nextPageToken": "y"}),
    "batch.json": orjson.dumps({"entries": [{"batchId": 1, "product": CONTENT}]}),
    "merchant.json": orjson.dumps({"products": [MERCHANT]}, option=orjson.OPT_INDENT_2),
    "packed.jsonl.gz": gzip.compress(ONE),
}


def alike(found: Item) -> Item:
    """Return the item with its attributes in the order of the example."""
    order = [one.name for one in TEA.attributes]
    return Item(
        **{name: getattr(found, name) for name in Item.__slots__ if name != "attributes"},
        attributes=tuple(sorted(found.attributes, key=lambda one: order.index(one.name))),
    )


@pytest.mark.parametrize("name", FILES)
def test_product_is_the_same_item_in_every_kind_of_file(
    name: str, tmp_path: Path, importer: CatalogImporter
) -> None:
    imported = importer.feed(written(tmp_path / name, FILES[name]))

    assert imported.counts == ImportCounts(1, 1, 0, 0)
    assert [alike(item) for item in importer.items()] == [TEA]
    assert imported.skipped["shipping"] == 1


def test_feed_of_one_market_tells_its_terms_alone(
    tmp_path: Path, importer: CatalogImporter
) -> None:
    importer.feed(written(tmp_path / "feed.xml", RSS), market="DE")

    (item,) = importer.items()
    assert item.offers == (Offer("DE", 12.99, "EUR", sale_price=9.99, stock=7.0),)
    assert (item.price, item.currency, item.sale_price, item.stock) == (None, "", None, None)
    assert (item.title, item.group_id) == ("Tea & Co", "teas")


def test_list_too_large_to_be_held_is_read_product_by_product(
    tmp_path: Path, importer: CatalogImporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_files, "_MOST_VALUE", 2_000)
    monkeypatch.setattr(json_files, "_CHUNK", 500)
    pages = [
        {
            "kind": "products", "limit": 250,
            "resources": [{"offerId": f"{page}-{n}", "title": "Tea"} for n in range(100)],
            "nextPageToken": "abc", "last": False,
        }
        for page in range(2)
    ]  # fmt: skip
    content = b"\n".join(orjson.dumps(page, option=orjson.OPT_INDENT_2) for page in pages)

    imported = importer.feed(written(tmp_path / "feed.json", content))

    assert imported.counts == ImportCounts(200, 200, 0, 0)
    assert imported.broken is None


def test_fault_in_a_list_is_told_by_its_place(tmp_path: Path, importer: CatalogImporter) -> None:
    page = {"resources": [CONTENT, CONTENT | {"offerId": "x", "price": "12,99"}, 7]}

    imported = importer.feed(written(tmp_path / "feed.json", orjson.dumps(page)))

    assert imported.counts == ImportCounts(3, 1, 0, 2)
    said = [(one["line"], one["field"], one["came"]) for one in rejected(imported)]
    assert said == [(1, "resources[1].price", "12,99"), (1, "", "7")]


@pytest.mark.parametrize("name", ["feed.xml", "feed.tsv", "list.json"])
def test_mended_rejects_are_a_feed_themselves(
    name: str, tmp_path: Path, importer: CatalogImporter
) -> None:
    given = FILES[name]
    content = given.decode() if isinstance(given, bytes) else given
    imported = importer.feed(written(tmp_path / name, content.replace("teas", "te\u2028as")))
    assert imported.rejects is not None
    mended = imported.rejects.read_text().replace("te\u2028as", "teas")

    again = importer.feed(written(tmp_path / f"{name}.rejects.jsonl", mended))

    assert imported.counts == ImportCounts(1, 0, 0, 1)
    assert again.counts == ImportCounts(1, 1, 0, 0)
    assert [alike(item) for item in importer.items()] == [TEA]


def test_what_fits_no_attribute_is_left_out_and_counted(
    tmp_path: Path, importer: CatalogImporter
) -> None:
    many = "".join(f"<g:product_highlight>fact {n}</g:product_highlight>" for n in range(120))
    long = f"<g:material>{'x' * 257}</g:material><g:cost_of_goods_sold>3</g:cost_of_goods_sold>"

    imported = importer.feed(
        written(tmp_path / "feed.xml", rss(f"<item><g:id>tea</g:id>{many}{long}</item>"))
    )

    (item,) = importer.items()
    assert {one.name for one in item.attributes} == {"product_highlight"}
    assert len(item.attributes) == 100
    assert imported.skipped == {"product_highlight": 20, "material": 1, "cost_of_goods_sold": 1}


@pytest.mark.parametrize("content", ["", "hello\nthis is no feed\n", "sku\tname\n1\ttea\n"])
def test_file_that_is_no_feed_is_refused(
    content: str, tmp_path: Path, importer: CatalogImporter
) -> None:
    with pytest.raises(InvalidInput, match="id among them"):
        importer.feed(written(tmp_path / "feed.txt", content))


TERMS: list[tuple[dict[str, str], dict[str, Any]]] = [
    ({"price": "12.99 EUR"}, {"price": 12.99, "currency": "EUR"}),
    ({"price": "12 usd"}, {"price": 12.0, "currency": "USD"}),
    ({"sale_price": "9 EUR"}, {"sale_price": 9.0, "currency": "EUR"}),
    ({"availability": "in stock"}, {"available": True}),
    ({"availability": "out of stock"}, {"available": False}),
    ({"availability": "OUT_OF_STOCK"}, {"available": False}),
    ({"availability": "preorder"}, {"available": True}),
    ({"quantity": "0"}, {"stock": 0.0}),
    ({"sell_on_google_quantity": "3"}, {"stock": 3.0}),
    ({"product_type": " A>B &amp;gt; C "}, {"category": "A > B > C"}),
    ({"google_product_category": "A &gt; B"}, {"category": "A > B"}),
    ({"google_product_category": "2073"}, {"category": ""}),
    ({"product_type": "A", "google_product_category": "B"}, {"category": "A"}),
    ({"expiration_date": "2024-06-01"}, {"expires": datetime(2024, 6, 1, tzinfo=UTC)}),
]


@pytest.mark.parametrize(("said", "expected"), TERMS, ids=[str(said) for said, _ in TERMS])
def test_terms_are_what_google_means_by_them(
    said: dict[str, str], expected: dict[str, Any], tmp_path: Path, importer: CatalogImporter
) -> None:
    tags = "".join(f"<g:{name}>{text}</g:{name}>" for name, text in said.items())

    importer.feed(written(tmp_path / "feed.xml", rss(f"<item><g:id>tea</g:id>{tags}</item>")))

    (found,) = importer.items()
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("interval", "holds"),
    [
        ("2024-05-01T12:00Z/2024-05-02T12:00Z", True),
        ("2024-05-01T14:00+0200/2024-05-02T12:00Z", True),
        ("2024-05-01T12:01Z/2024-05-02T12:00Z", False),
        ("2024-04-01/2024-05-01T12:00Z", False),
        ("2024-04-01/2024-05-01T12:01", True),
    ],
)
def test_sale_holds_only_inside_its_interval(
    interval: str, holds: bool, tmp_path: Path, importer: CatalogImporter
) -> None:
    feed = "id\tprice\tsale price\tsale price effective date\ntea\t3 EUR\t2 EUR\t" + interval

    importer.feed(written(tmp_path / "feed.tsv", feed))

    assert importer.items()[0].sale_price == (2.0 if holds else None)


@pytest.mark.parametrize(
    ("availability", "is_told"),
    [("in_stock", True), ("out_of_stock", True), ("preorder", False), ("backorder", False)],
)
def test_availability_date_begins_the_sale_only_of_what_cannot_be_ordered_before(
    availability: str, is_told: bool, tmp_path: Path, importer: CatalogImporter
) -> None:
    feed = f"id\tavailability\tavailability_date\ntea\t{availability}\t2024-07-01T10:00+02:00"

    importer.feed(written(tmp_path / "feed.tsv", feed))

    (found,) = importer.items()
    assert found.available_from == (datetime(2024, 7, 1, 8, tzinfo=UTC) if is_told else None)
    assert (Attribute("availability", availability) in found.attributes) is not is_told
