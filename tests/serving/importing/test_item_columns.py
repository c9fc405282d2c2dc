"""Every field of an item can come from a column, and columns say what row by row would be said."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.errors import InvalidInput
from recsys.ids import ItemId
from recsys.items import Attribute, Item, Offer
from serving.importing.encode import ItemLines
from serving.importing.items import items_of
from serving.importing.job import ImportCounts
from serving.importing.mapping import ITEM_COLUMNS, FieldMapping
from serving.importing.tables import Batch
from serving.log.items import decode_item, encode_item
from tests.serving.importing.catalog import CatalogImporter
from tests.serving.importing.importer import rejected

MAY = datetime(2024, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def importer(tmp_path: Path) -> Iterator[CatalogImporter]:
    one = CatalogImporter(tmp_path)
    yield one
    one.writer.close()


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_csv_tells_every_field_that_fits_a_column(
    tmp_path: Path, importer: CatalogImporter
) -> None:
    file = written(
        tmp_path / "items.csv",
        "item_id,description,sale_price,stock,group_id,hidden,available_from,expires,attributes\n"
        "tea,Green,1.5,3,teas,yes,2024-05-01T14:00:00+02:00,2024-05-02,color=red; size=M\n",
    )

    importer(file)

    assert importer.items() == [
        Item(
            ItemId("tea"),
            description="Green",
            sale_price=1.5,
            stock=3.0,
            group_id="teas",
            hidden=True,
            available_from=MAY,
            expires=datetime(2024, 5, 2, tzinfo=UTC),
            attributes=(Attribute("color", "red"), Attribute("size", "M")),
        )
    ]


ATTRIBUTES: list[Any] = [
    {"color": "red", "size": ["S", "M"], "pieces": 2.0, "organic": True, "note": None},
    [
        {"name": "color", "value": "red"},
        {"name": "size", "value": "S"},
        {"name": "size", "value": "M"},
        {"name": "pieces", "value": 2},
        {"name": "organic", "value": "true"},
    ],
    "color=red;size=S; size = M;pieces=2;organic=true;",
]
SAID = tuple(
    Attribute(*pair)
    for pair in (
        ("color", "red"), ("size", "S"), ("size", "M"), ("pieces", "2"), ("organic", "true"),
    )
)  # fmt: skip


@pytest.mark.parametrize("given", ATTRIBUTES, ids=["object", "list", "text"])
def test_attributes_are_read_however_json_has_them(
    given: Any, tmp_path: Path, importer: CatalogImporter
) -> None:
    rows = [{"item_id": "tea", "attributes": given}, {"item_id": "rye", "attributes": None}]
    file = tmp_path / "items.jsonl"
    file.write_bytes(b"\n".join(map(orjson.dumps, rows)))

    importer(file)

    assert [item.attributes for item in importer.items()] == [SAID, ()]


PAIR = pa.struct([("name", pa.string()), ("value", pa.string())])
OFFER = pa.struct([("market", pa.string()), ("price", pa.float64()), ("available", pa.bool_())])


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (pa.list_(PAIR), [{"name": "color", "value": "red"}]),
        (pa.map_(pa.string(), pa.string()), [("color", "red")]),
        (pa.struct([("color", pa.string()), ("size", pa.string())]), {"color": "red"}),
    ],
    ids=["list", "map", "struct"],
)
def test_nested_columns_of_parquet_are_attributes_and_offers(
    kind: Any, value: Any, tmp_path: Path, importer: CatalogImporter
) -> None:
    offers = [{"market": "DE", "price": 2.0}, {"market": "AT", "available": False}]
    columns = {
        "item_id": pa.array(["tea"]),
        "attributes": pa.array([value], kind),
        "offers": pa.array([offers], pa.list_(OFFER)),
    }
    pq.write_table(pa.table(columns), tmp_path / "items.parquet")

    importer(tmp_path / "items.parquet")

    (item,) = importer.items()
    assert item.attributes == (Attribute("color", "red"),)
    assert item.offers == (Offer("DE", 2.0), Offer("AT", available=False))


BAD: dict[str, list[Any]] = {
    "attributes": [
        "red", 7, {"color": {"deep": 1}}, [["color"]], [{"name": "color", "values": "red"}],
        {"c" * 65: "red"}, {"color": "r" * 257}, {"color": ["red"] * 101}, '{"color": ',
        [{"value": "red"}], {"color": "a\0b"},
    ],
    "offers": [
        "DE", 7, {"market": "DE"}, [{"price": 1}], [{"market": "DE"}, {"market": "DE"}],
        [{"market": "DE", "price": -1}], [{"market": "DE", "stock": "many"}], ["DE"],
        [{"market": "DE", "available": "yes"}], [{"market": "DE", "prize": 1}],
        [{"market": "DE", "price": True}], [{"market": 7}], [{"market": "D" * 33}],
    ],
    "stock": [-1, "many", 1e12],
    "sale_price": [-0.5, "1,5"],
    "hidden": ["perhaps"],
    "expires": ["never", "2024-05-01T12:00:00+99:00", "1960-01-01", 1e300],
    "available_from": ["2024-02-30", "2500-01-01"],
    "group_id": ["g" * 129, "a\nb", ["g"]],
    "description": ["x" * 5_001, "a\0b"],
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [(name, one) for name in BAD for one in BAD[name]])
def test_row_with_a_bad_field_is_told_and_the_other_lands(
    name: str, value: Any, tmp_path: Path, importer: CatalogImporter
) -> None:
    rows = [{"item_id": "bad", name: value}, {"item_id": "good"}]
    file = tmp_path / "items.jsonl"
    file.write_bytes(b"\n".join(map(orjson.dumps, rows)))

    imported = importer(file)

    assert imported.counts == ImportCounts(2, 1, 0, 1)
    assert [(one["line"], one["field"]) for one in rejected(imported)] == [(1, name)]
    assert [item.item_id for item in importer.items()] == ["good"]


TEXT = st.one_of(st.none(), st.just(""), st.text(st.characters(exclude_categories=["C"])))
WORD = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)
NUMBER = st.one_of(st.none(), st.floats(0, 1e11), st.integers(0, 10**11))
TIME = st.one_of(st.none(), st.integers(0, 3 * 10**15).map(lambda n: MAY + timedelta(0, 0, n // 2)))
OFFERS = st.lists(
    st.fixed_dictionaries(
        {"market": WORD},
        optional={
            "price": NUMBER, "sale_price": NUMBER, "stock": NUMBER,
            "currency": st.sampled_from([None, "", "EUR"]), "available": st.booleans(),
        },
    ),
    max_size=3,
    unique_by=lambda one: one["market"],
)  # fmt: skip
ROW = st.fixed_dictionaries(
    {
        "item_id": WORD,
        **dict.fromkeys(("title", "category", "brand", "url", "image_url", "description"), TEXT),
        "group_id": st.one_of(st.none(), WORD),
        "currency": st.sampled_from([None, "", "EUR"]),
        **dict.fromkeys(("price", "sale_price", "stock"), NUMBER),
        **dict.fromkeys(("available", "hidden"), st.sampled_from([None, True, False])),
        **dict.fromkeys(("available_from", "expires"), TIME),
        "attributes": st.one_of(st.none(), st.dictionaries(WORD, WORD, max_size=3)),
        "offers": st.one_of(st.none(), OFFERS),
    }
)


def item_of(row: dict[str, Any]) -> Item:
    """Return the item of a row, as one would build it by hand."""
    said: dict[str, Any] = {
        name: value.strip() if isinstance(value, str) else value
        for name, value in row.items()
        if value is not None
    }
    given = [{k: v for k, v in one.items() if v is not None} for one in said.pop("offers", [])]
    for one in (said, *given):
        one |= {name: float(one[name]) for name in one.keys() & {"price", "sale_price", "stock"}}
    pairs = said.pop("attributes", {}).items()
    return Item(
        **said,
        attributes=tuple(Attribute(*pair) for pair in pairs),
        offers=tuple(Offer(**one) for one in given),
    )


def lines_of(rows: list[dict[str, Any]]) -> tuple[ItemLines, list[str]]:
    columns = {name: pa.array([row[name] for row in rows]) for name in ITEM_COLUMNS[:-2]}
    for name in ITEM_COLUMNS[-2:]:
        texts = [None if row[name] is None else orjson.dumps(row[name]).decode() for row in rows]
        columns[name] = pa.array(texts, pa.string())
    mapping = FieldMapping(columns={name: name for name in ITEM_COLUMNS})
    batch = Batch(pa.RecordBatch.from_pydict(columns), range(len(rows)))
    lines, faults = items_of(batch, mapping)
    return lines, [fault.field for fault in faults]


@settings(max_examples=300)
@given(rows=st.lists(ROW, min_size=1, max_size=4))
def test_columns_become_byte_for_byte_what_row_by_row_items_become(
    rows: list[dict[str, Any]],
) -> None:
    expected, wrong = [], []
    for item in map(item_of, rows):
        try:
            item.check()
            expected.append(item)
        except InvalidInput as error:
            wrong.append(error.field)

    lines, faults = lines_of(rows)

    assert faults == wrong
    assert [*lines.payloads] == [encode_item(item) for item in expected]
    assert [decode_item(payload) for payload in lines.payloads] == expected
    assert [*lines.item_ids] == [item.item_id for item in expected]


def test_items_named_again_are_counted_and_the_last_one_holds(
    tmp_path: Path, importer: CatalogImporter
) -> None:
    rows = "".join(f"item {n % 60_000},{n}\n" for n in range(60_003))

    imported = importer(written(tmp_path / "items.csv", "item_id,stock\n" + rows))

    assert imported.n_repeated == 3
    assert imported.counts.rows_read == 60_003
    assert [item.stock for item in importer.items()[:4]] == [60_000, 60_001, 60_002, 3]


def test_importing_a_catalog_again_changes_nothing(
    tmp_path: Path, importer: CatalogImporter
) -> None:
    file = written(tmp_path / "items.csv", "item_id,title\ntea,Tea\nrye,Rye\n")

    first, again = importer(file), importer(file)

    assert first.counts == ImportCounts(2, 2, 0, 0)
    assert again.counts == ImportCounts(2, 0, 2, 0)
