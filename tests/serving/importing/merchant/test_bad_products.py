"""What is wrong with a product is told with line and field, and the other products land."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from serving.importing.job import ImportCounts
from tests.serving.importing.catalog import CatalogImporter
from tests.serving.importing.importer import rejected
from tests.serving.importing.merchant.feeds import GOOD, item, rss, written

BAD = [
    ("price", "abc"),
    ("price", "12,99"),
    ("price", "12,99 EUR"),
    ("price", "-5 EUR"),
    ("price", "12.99"),
    ("price", "1,299.00 EUR"),
    ("price", "EUR 12.99"),
    ("price", "nan EUR"),
    ("price", "1e3 EUR"),
    ("price", "٣ EUR"),
    ("price", "999999999999999 EUR"),
    ("price", "5 " + "E" * 40),
    ("sale_price", "none"),
    ("sale_price", "-0.01 EUR"),
    ("sale_price_effective_date", "2024-05-01"),
    ("sale_price_effective_date", "2024-05-02T12:00Z/2024-05-01T12:00Z"),
    ("sale_price_effective_date", "2024-05-01T12:00Z/2024-05-02T12:00+25:00"),
    ("sale_price_effective_date", "2024-05-01T12:00 Mars/2024-05-02T12:00 Base"),
    ("availability", "maybe"),
    ("availability_date", "2024-07-01T10:00+99:00"),
    ("expiration_date", "2024-02-30"),
    ("expiration_date", "2024-07-01T10:00 CEST"),
    ("expiration_date", "3024-07-01"),
    ("quantity", "-1"),
    ("quantity", "many"),
    ("sell_on_google_quantity", "-0.5"),
    ("product_type", "A >  > B"),
    ("product_type", "> A"),
    ("product_type", "A > B > A"),
    ("product_type", " > ".join(map(str, range(21)))),
    ("product_type", "x" * 1_001),
    ("google_product_category", "A > B > A"),
    ("item_group_id", "g" * 129),
    ("id", "x" * 129),
    ("id", "a\u2028b"),
    ("link", "x" * 2_001),
    ("description", "x" * 5_001),
    ("title", "x" * (10 << 20)),
]


@pytest.mark.parametrize(("name", "text"), BAD, ids=[f"{name}: {text[:40]}" for name, text in BAD])
def test_bad_value_is_told_with_the_line_where_its_item_begins(
    name: str, text: str, tmp_path: Path, importer: CatalogImporter
) -> None:
    escaped = text.replace(">", "&gt;")

    imported = importer.feed(
        written(
            tmp_path / "feed.xml", rss(GOOD, item(**{name: escaped}), GOOD.replace("od<", "o<"))
        )
    )

    assert imported.counts.rejected == 1
    (told,) = rejected(imported)
    assert (told["file"], told["line"]) == (str(tmp_path / "feed.xml"), 3)
    assert told["field"] == name
    assert str(told["came"])[:10].strip() in text
    assert told["wanted"]
    assert len(told["row"][name]) <= 1 << 16
    assert [one.item_id for one in importer.items()] == ["good", "goo"]


@pytest.mark.parametrize(("name", "text"), BAD[:-1], ids=[f"{n}: {t[:40]}" for n, t in BAD[:-1]])
def test_bad_value_in_a_table_is_told_with_its_line(
    name: str, text: str, tmp_path: Path, importer: CatalogImporter
) -> None:
    bad = {"id": "bad", "title": "Bad", name: text}
    good = {"id": "good", "title": "Good"} | ({} if name == "id" else {name: ""})
    feed = "\n".join("\t".join(line) for line in (bad, good.values(), bad.values()))

    imported = importer.feed(written(tmp_path / "feed.tsv", feed))

    assert imported.counts == ImportCounts(2, 1, 0, 1)
    assert [(one["line"], one["field"]) for one in rejected(imported)] == [(3, name)]


def test_missing_id_is_told(tmp_path: Path, importer: CatalogImporter) -> None:
    feed = rss(GOOD, "<item><title>Nameless</title></item>", item(id=" "))

    imported = importer.feed(written(tmp_path / "feed.xml", feed))

    assert imported.counts == ImportCounts(3, 1, 0, 2)
    assert [(one["line"], one["field"]) for one in rejected(imported)] == [(3, "id"), (3, "id")]


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("item_group_id", "teas", "coffees"),
        ("id", "tea", "coffee"),
        ("price", "1 EUR", "2 EUR"),
        ("availability", "in_stock", "out_of_stock"),
    ],
)
def test_item_that_says_two_things_at_once_is_told(
    name: str, one: str, other: str, tmp_path: Path, importer: CatalogImporter
) -> None:
    twice = f"<item><g:{name}>{one}</g:{name}><g:{name}>{other}</g:{name}></item>"

    imported = importer.feed(written(tmp_path / "feed.xml", rss(GOOD, twice)))

    (told,) = rejected(imported)
    assert (told["line"], told["field"], told["came"]) == (3, name, f"{one}, {other}")
    assert told["wanted"] == "one value"


def test_sale_in_another_currency_is_told(tmp_path: Path, importer: CatalogImporter) -> None:
    feed = rss(item(price="3 EUR", sale_price="2 USD"))

    imported = importer.feed(written(tmp_path / "feed.xml", feed))

    assert [one["field"] for one in rejected(imported)] == ["sale_price"]


def test_item_named_twice_is_counted_and_the_last_one_holds(
    tmp_path: Path, importer: CatalogImporter
) -> None:
    feed = rss(item(id="tea", item_group_id="teas"), GOOD, item(id="tea", item_group_id="coffees"))

    imported = importer.feed(written(tmp_path / "feed.xml", feed))

    assert imported.n_repeated == 1
    assert imported.counts == ImportCounts(3, 2, 1, 0)
    assert {one.item_id: one.group_id for one in importer.items()} == {"tea": "coffees", "good": ""}


@pytest.mark.parametrize("name", ["title", "id", "link"])
def test_nul_in_a_text_is_told(name: str, tmp_path: Path, importer: CatalogImporter) -> None:
    row = {"id": "bad", "title": "t", "link": "l"} | {name: "a\0b"}
    table = "id\ttitle\tlink\ngood\tt\tl\n" + "\t".join(row.values())
    lines = b"\n".join(map(orjson.dumps, ({"id": "fine"}, row)))

    of_table = importer.feed(written(tmp_path / "feed.tsv", table))
    of_json = importer.feed(written(tmp_path / "feed.jsonl", lines))

    assert [(one["line"], one["field"]) for one in rejected(of_table)] == [(3, name)]
    assert [(one["line"], one["field"]) for one in rejected(of_json)] == [(2, name)]
    assert [one.item_id for one in importer.items()] == ["good", "fine"]


def test_lines_of_a_table_that_are_no_rows_are_told_and_the_others_land(
    tmp_path: Path, importer: CatalogImporter
) -> None:
    lines = [
        b"id\ttitle\tprice",
        b"one\tOne\t1 EUR",
        b"short\tShort",
        b"long\tLong\t1 EUR\tmore",
        b"latin\tTh\xe9\t1 EUR",
        b'two\t"Two\nlines"\t1 EUR',
        b"huge\t" + b"x" * (10 << 20) + b"\t1 EUR",
        b"bad\tBad\t1,5 EUR",
        b"",
        b"three\tThree\t1 EUR",
    ]

    imported = importer.feed(written(tmp_path / "feed.tsv", b"\n".join(lines)))

    assert sorted((one["line"], one["field"]) for one in rejected(imported)) == [
        (3, ""), (4, ""), (5, ""), (8, "title"), (9, "price"),
    ]  # fmt: skip
    assert [one.item_id for one in importer.items()] == ["one", "two", "three"]
    assert importer.items()[1].title == "Two\nlines"


def test_quote_that_does_not_fit_is_part_of_its_text_and_costs_no_other_row(
    tmp_path: Path, importer: CatalogImporter
) -> None:
    titles = ['"Fine, 0"', '"Best tea', '27" screen', '"Fine ""1"""', '"Best" tea', '"']
    rows = [f"item {n}\t{title}\t1 EUR" for n, title in enumerate(titles)]

    imported = importer.feed(written(tmp_path / "feed.tsv", "\n".join(["id\ttitle\tprice", *rows])))

    assert imported.counts == ImportCounts(6, 6, 0, 0)
    assert [one.title for one in importer.items()] == [
        "Fine, 0", '"Best tea', '27" screen', 'Fine "1"', '"Best" tea', '"',
    ]  # fmt: skip


@pytest.mark.parametrize("value", [["a", "b"], {"a": 1}, True, 1.5, None])
def test_id_that_is_no_text_is_told(
    value: object, tmp_path: Path, importer: CatalogImporter
) -> None:
    lines = b"\n".join(map(orjson.dumps, ({"id": value, "title": "x"}, {"id": 7})))

    imported = importer.feed(written(tmp_path / "feed.jsonl", lines))

    assert [(one["line"], one["field"]) for one in rejected(imported)] == [(1, "id")]
    assert [one.item_id for one in importer.items()] == ["7"]


@pytest.mark.parametrize("price", [{"value": "x", "currency": "EUR"}, {"value": 1}, [1], 12.99])
def test_price_of_json_that_is_none_is_told(
    price: object, tmp_path: Path, importer: CatalogImporter
) -> None:
    line = orjson.dumps({"offerId": "tea", "price": price})

    imported = importer.feed(written(tmp_path / "feed.jsonl", line))

    assert [one["field"] for one in rejected(imported)] == ["price"]


def test_product_beyond_all_measure_is_told(tmp_path: Path, importer: CatalogImporter) -> None:
    many = "".join(f"<g:fact_{n}>x</g:fact_{n}>" for n in range(2_000))

    imported = importer.feed(
        written(tmp_path / "feed.xml", rss(f"<item><g:id>tea</g:id>{many}</item>", GOOD))
    )

    assert imported.counts == ImportCounts(2, 1, 0, 1)
    assert "1,000 values" in rejected(imported)[0]["wanted"]


@pytest.mark.parametrize("end", [b',{"offerId', b"] nonsense", b",\xff\xfe]"])
def test_json_that_breaks_off_is_told_and_what_stands_before_lands(
    end: bytes, tmp_path: Path, importer: CatalogImporter
) -> None:
    products = b'[{"offerId": "tea"},\n{"offerId": "rye"}'

    imported = importer.feed(written(tmp_path / "feed.json", products + end))

    assert imported.counts == ImportCounts(3, 2, 0, 1)
    assert [(one["line"], one["field"]) for one in rejected(imported)] == [(3, "")]
    assert imported.broken is not None
