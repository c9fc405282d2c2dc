"""Files into the log: every row is accepted, a duplicate, or rejected with its reason."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from protos.recsys.v1 import event_service_pb2 as pb
from recsys.errors import InvalidInput, NotFound, Unavailable
from recsys.events import Channel, EventType, Position
from serving.api.event_codec import decoded
from serving.api.names import CHANNEL_NUMBERS, TYPE_NUMBERS
from serving.importing.command import import_app
from serving.importing.events import events_of
from serving.importing.job import ImportCounts, Imported, import_file
from serving.importing.mapping import FieldMapping, parse_mapping, read_mapping
from serving.importing.prepared import ImportJob, Subject
from serving.importing.tables import Batch
from serving.importing.template import title_cased
from serving.lock import DataFolderLock
from serving.log.records import decode
from serving.log.tail import LogTail
from serving.log.writer import Writer
from tests.serving.importing.catalog import CatalogImporter

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
EXAMPLES = Path(__file__).parents[3] / "examples" / "complete_journey"
ORDERS = parse_mapping(
    {
        "columns": {"user_id": "who", "item_id": "sku", "time": "at", "quantity": "n"},
        "constants": {"type": "purchase"},
    }
)

Import = Callable[..., Imported]


@pytest.fixture
def importing(tmp_path: Path) -> Any:
    writer = Writer(tmp_path / "log" / "log.sqlite", clock=lambda: NOON)

    def run(file: Path, mapping: FieldMapping = ORDERS) -> Imported:
        job = ImportJob(Subject.EVENTS, mapping, tmp_path / "rejects", lambda: NOON)
        return import_file(file, job, writer=writer, progress=lambda counts, n_rows: None)

    yield run
    writer.close()


def stored(folder: Path) -> list[Any]:
    tail = LogTail(folder / "log" / "log.sqlite")
    facts = [record.fact for record in tail.records(Position(0), 1_000)]
    tail.close()
    return facts


def rejected(imported: Imported) -> list[dict[str, Any]]:
    assert imported.rejects is not None
    return [orjson.loads(line) for line in imported.rejects.read_bytes().splitlines()]


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_csv_rows_become_events_and_bad_rows_say_why(tmp_path: Path, importing: Import) -> None:
    file = written(
        tmp_path / "orders.csv",
        "who,sku,at,n\nann,bread,2024-05-01T12:00:00Z,2\nbob,milk,2024-05-01,0\n"
        "bob,milk\ncid,tea,yesterday,1\n,tea,1714564800,1\n",
    )

    imported = importing(file)

    assert imported.counts == ImportCounts(5, 1, 0, 4)
    assert stored(tmp_path)[0].quantity == 2.0
    assert stored(tmp_path)[0].time == NOON
    said = sorted((line["line"], line["field"], line["came"]) for line in rejected(imported))
    assert said == [
        (3, "quantity", "0"),
        (4, "", "bob,milk"),
        (5, "time", "yesterday"),
        (6, "user_id", None),
    ]
    assert rejected(imported)[0]["row"] == {
        "who": "bob",
        "sku": "milk",
        "at": "2024-05-01",
        "n": "0",
    }


def test_longer_file_adds_only_its_new_rows(tmp_path: Path, importing: Import) -> None:
    rows = "who,sku,at,n\nann,bread,1714564800,1\nann,bread,1714564800,1\n"
    first = importing(written(tmp_path / "orders.csv", rows))

    again = importing(written(tmp_path / "more.csv", rows + "bob,milk,1714564800000,1\n"))

    assert first.counts == ImportCounts(2, 2, 0, 0)
    assert again.counts == ImportCounts(3, 1, 2, 0)


def test_json_lines_with_a_broken_line_and_mixed_ids(tmp_path: Path, importing: Import) -> None:
    file = tmp_path / "orders.jsonl.gz"
    lines = [
        b'{"who": 7, "sku": "bread", "at": 1714564800, "n": 1}',
        b"{not json",
        b'{"who": "ann", "sku": 12, "at": "2024-05-01T14:00:00+02:00", "n": 1.5}',
    ]
    file.write_bytes(gzip.compress(b"\n".join(lines)))

    imported = importing(file)

    assert imported.counts == ImportCounts(3, 2, 0, 1)
    assert [(fact.user_id, fact.item_id) for fact in stored(tmp_path)] == [
        ("7", "bread"),
        ("ann", "12"),
    ]
    assert {fact.time for fact in stored(tmp_path)} == {NOON}
    assert rejected(imported)[0]["line"] == 2


def test_parquet_of_the_complete_journey_shape(tmp_path: Path, importing: Import) -> None:
    table = pa.table(
        {
            "household_id": [900, 901],
            "basket_id": [31, 32],
            "product_id": [1, 2],
            "quantity": [2, 0],
            "sales_value": [2.78, 0.0],
            "transaction_timestamp": np.array(["2017-01-01T11:53:26"] * 2, "datetime64[ns]"),
        }
    )
    pq.write_table(table, tmp_path / "transactions.parquet")

    imported = importing(tmp_path / "transactions.parquet", read_mapping(EXAMPLES / "events.toml"))

    (event,) = stored(tmp_path)
    assert imported.counts == ImportCounts(2, 1, 0, 1)
    assert (event.user_id, event.item_id, event.order_id, event.price) == ("900", "1", "31", 1.39)
    assert event.time == datetime(2017, 1, 1, 11, 53, 26, tzinfo=UTC)
    assert rejected(imported)[0]["came"] == 0


def test_products_get_titles_that_a_shopper_can_read(tmp_path: Path) -> None:
    catalog = CatalogImporter(tmp_path)
    table = pa.table(
        {
            "product_id": [1, 2, 3],
            "brand": ["National", "Private", "National"],
            "department": ["GROCERY", "MISCELLANEOUS", "PASTRY"],
            "product_category": ["FRZN ICE", None, "BREAD"],
            "product_type": ["WHT BREAD", None, "BREAD:ITALIAN/FRENCH"],
            "package_size": ["20 OZ", None, None],
        }
    )
    pq.write_table(table, tmp_path / "products.parquet")

    catalog(tmp_path / "products.parquet", read_mapping(EXAMPLES / "products.toml"))

    items = catalog.items()
    catalog.writer.close()
    assert [item.title for item in items] == [
        "White Bread, 20 oz (National)",
        "Miscellaneous (Private)",
        "Bread: Italian/French (National)",
    ]
    assert [item.category for item in items] == [
        "Grocery > Frozen Ice",
        "Miscellaneous",
        "Pastry > Bread",
    ]


def test_stop_in_the_middle_leaves_whole_batches(tmp_path: Path) -> None:
    rows = "".join(f"ann,item {number},1714564800,1\n" for number in range(120_000))
    file = written(tmp_path / "orders.csv", "who,sku,at,n\n" + rows)
    writer = Writer(tmp_path / "log" / "log.sqlite", clock=lambda: NOON)
    job = ImportJob(Subject.EVENTS, ORDERS, tmp_path / "rejects", lambda: NOON)
    seen: list[int] = []

    def stop(counts: ImportCounts, n_rows: int | None) -> None:
        seen.append(counts.accepted)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_file(file, job, writer=writer, progress=stop)
    again = import_file(file, job, writer=writer, progress=lambda counts, n_rows: None)

    writer.close()
    assert 0 < seen[0] <= 120_000
    assert again.counts == ImportCounts(120_000, 120_000 - seen[0], seen[0], 0)


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"colums": {}}, "colums"),
        ({"columns": {"item_id": 3}}, "columns.item_id"),
        ({"derived": {"price": "a * b"}}, "derived.price"),
        ({"derived": {"quantity": "a / b"}}, "derived.quantity"),
        ({"combine": {"title": {"text": "no column"}}}, "combine.title"),
        ({"combine": {"title": {"text": "{a}", "caps": True}}}, "combine.title.caps"),
        ({"combine": {"title": {"text": "{a}", "case": "loud"}}}, "combine.title.case"),
        ({"time": {"zone": "Mars/Base"}}, "time.zone"),
        ({"time": {"offset": 1}}, "time.offset"),
        ({"columns": {"type": "a"}, "constants": {"type": "b"}}, "type"),
    ],
)
def test_mapping_with_a_mistake_is_refused_by_name(document: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_mapping(document)

    assert caught.value.field == field


def test_missing_column_is_named_beside_those_there_are(tmp_path: Path, importing: Import) -> None:
    file = written(tmp_path / "orders.csv", "who,item,at,n\n")

    with pytest.raises(InvalidInput, match=r"no column sku.*who, item, at, n"):
        importing(file)


def test_unknown_format_and_missing_file_say_what_is_wanted(
    tmp_path: Path, importing: Import
) -> None:
    with pytest.raises(InvalidInput, match="parquet"):
        importing(written(tmp_path / "orders.xlsx", ""))
    with pytest.raises(NotFound, match=r"orders\.csv"):
        importing(tmp_path / "orders.csv")


def test_file_that_is_not_parquet_is_refused(tmp_path: Path, importing: Import) -> None:
    with pytest.raises(InvalidInput, match=r"orders\.parquet"):
        importing(written(tmp_path / "orders.parquet", "who,sku\n"))


TEXT = st.one_of(st.just("a"), st.none(), st.text(max_size=140), st.sampled_from(["a\nb", " "]))
LONG = st.one_of(TEXT, st.sampled_from(["é" * 64, "é" * 65, "x" * 513, "x" * 1_025]))
NUMBER = st.one_of(st.none(), st.sampled_from([0.5, 1.0, 5.0, 5.5]), st.floats().filter(bool))
ASKING = (EventType.RATING, EventType.SEARCH, EventType.CATEGORY_VIEW)
FIELDS = {
    "type": st.one_of(st.sampled_from(ASKING), st.sampled_from([*EventType, "no such type"])),
    "channel": st.one_of(st.sampled_from(Channel), st.just("no such channel")),
    "item_id": LONG,
    **dict.fromkeys(("user_id", "visitor_id", "order_id", "outlet", "campaign_id", "market"), TEXT),
    **dict.fromkeys(("query", "category", "attribution_token"), LONG),
    **dict.fromkeys(("quantity", "price", "rating"), NUMBER),
    "user_agent": st.sampled_from([None, "Googlebot/2.1", "Firefox"]),
    "time": st.one_of(
        st.integers(-600, 90_000).map(lambda second: NOON + timedelta(seconds=second)),
        st.integers(-(2**33), 2**33).map(lambda second: EPOCH + timedelta(seconds=second)),
    ),
}
"""The fields of an event, with what a file may hold for each; names and texts are trimmed."""


GOOD = dict.fromkeys(FIELDS, None) | {"type": "like", "item_id": "a", "user_id": "a", "time": NOON}
RATING = {"type": "rating", "rating": 4.0}
SEARCH = {"type": "search", "item_id": None, "query": "a"}
VIEW = {"type": "category_view", "item_id": None, "category": "a"}


@pytest.mark.parametrize(
    "changed",
    [
        *(RATING | {"rating": rating} for rating in (None, 0.5, 1.0, 5.0, 5.5, float("nan"))),
        *(SEARCH | {"query": query} for query in (None, "a", "é" * 256, "é" * 257)),
        *(VIEW | {"category": category} for category in (None, "a", "x" * 1_024, "x" * 1_025)),
        *({"item_id": item, "type": kind} for item in (None, "a\nb") for kind in EventType),
        *({name: "x" * 129} for name in ("outlet", "campaign_id", "order_id", "visitor_id")),
        *({"market": market} for market in ("é" * 16, "é" * 17, "a\nb")),
        {"rating": 4.0},
        {"query": "x" * 513},
        {"attribution_token": "x" * 512},
        {"attribution_token": "x" * 513},
        {"user_agent": "Googlebot/2.1"},
        {"quantity": 1e9},
        {"price": 1e12},
        {"price": 0.0},
        {"outlet": "\U00018d80"},  # printable since Unicode 16
    ],
    ids=str,
)
def test_limit_of_a_field_is_the_same_as_over_the_wire(changed: dict[str, Any]) -> None:
    check_alike(GOOD | changed)


@settings(max_examples=400)
@given(row=st.fixed_dictionaries(FIELDS))
def test_rows_are_refused_and_counted_exactly_as_over_the_wire(row: dict[str, Any]) -> None:
    check_alike(row)


def check_alike(row: dict[str, Any]) -> None:
    """Check that a row of a file becomes what it becomes over the wire."""
    columns = {
        name: pa.array([value], pa.float64() if name in ("quantity", "price", "rating") else None)
        for name, value in row.items()
    }
    mapping = FieldMapping(columns={name: name for name in row}, constants={"event_id": "e"})

    lines, faults = events_of(Batch(pa.RecordBatch.from_pydict(columns), [1]), mapping, NOON)

    expected = decoded([message_of(row)], now=NOON)
    assert [fault.field for fault in faults] == [one.field for one in expected.rejected]
    stored = [decode(payload) for payload in lines.payload.splitlines()]
    assert stored == list(expected.valid)


def message_of(row: dict[str, Any]) -> pb.Event:
    """Return the row as a shop would send it: without outer spaces, and without what is empty."""
    said: dict[str, Any] = {
        name: value.strip() if isinstance(value, str) else value for name, value in row.items()
    }
    message = pb.Event(event_id="e")
    message.time.FromDatetime(said.pop("time"))
    types: dict[Any, Any] = {**TYPE_NUMBERS}
    channels: dict[Any, Any] = {**CHANNEL_NUMBERS}
    message.type = types.get(said.pop("type"), 99)
    message.channel = channels.get(said.pop("channel") or "", 99)
    for name, value in said.items():
        if value is not None:
            setattr(message, name, value)
    return message


def test_sizes_and_short_words_are_written_small() -> None:
    assert title_cased("CHEESE & BREAD OF  THE DAY 1 1/2 LB", {}) == (
        "Cheese & Bread of the Day 1 1/2 lb"
    )


def command(*arguments: str) -> Any:
    return CliRunner().invoke(import_app, arguments)


FLAGS = ("--column", "user_id=who", "--column", "item_id=sku", "--column", "time=at")


def test_command_brings_rows_to_the_lake_and_counts_them(tmp_path: Path) -> None:
    file = written(tmp_path / "orders.csv", "who,sku,at\nann,bread,2024-05-01\nann,tea,never\n")

    ran = command(
        "events", str(file), *FLAGS, "--constant", "type=purchase", "--data-folder", str(tmp_path)
    )

    assert ran.exit_code == 0, ran.output
    assert "2 rows read = 1 accepted + 0 already there + 1 rejected" in ran.output
    assert "orders.csv.rejects.jsonl" in ran.output
    assert DeltaTable(tmp_path / "lake" / "events").to_pyarrow_table().num_rows == 1


def test_shifted_days_move_every_time(tmp_path: Path, importing: Import) -> None:
    orders = written(tmp_path / "orders.csv", "who,sku,at,n\nann,1,2023-05-01 12:00:00,1\n")

    importing(orders, replace(ORDERS, shift_days=366))

    assert [fact.time for fact in stored(tmp_path)] == [NOON]


def test_command_maps_columns_with_our_names_by_itself(tmp_path: Path) -> None:
    file = written(tmp_path / "items.csv", "item_id,title,price,available\ntea,Tea,1.5,yes\n")

    ran = command("catalog", str(file), "--data-folder", str(tmp_path))

    assert ran.exit_code == 0, ran.output
    (item,) = DeltaTable(tmp_path / "lake" / "items").to_pyarrow_table().to_pylist()
    assert (item["title"], item["price"], item["available"]) == ("Tea", 1.5, True)


def test_command_fails_when_no_row_is_usable(tmp_path: Path) -> None:
    file = written(tmp_path / "orders.csv", "who,sku,at\nann,bread,never\n")

    ran = command(
        "events", str(file), *FLAGS, "--constant", "type=purchase", "--data-folder", str(tmp_path)
    )

    assert isinstance(ran.exception, InvalidInput)
    assert ran.exception.reason == "NOTHING_IMPORTED"


def test_taken_data_folder_names_its_holder(tmp_path: Path) -> None:
    taken = DataFolderLock(tmp_path)

    with taken, pytest.raises(Unavailable, match=rf"process {os.getpid()}"), taken_again(tmp_path):
        pass


def test_data_folder_is_free_again_after_use(tmp_path: Path) -> None:
    with DataFolderLock(tmp_path):
        pass

    with taken_again(tmp_path):
        assert (tmp_path / "lock").read_text().strip() == str(os.getpid())


def taken_again(folder: Path) -> DataFolderLock:
    return DataFolderLock(folder)


def test_ctrl_c_says_what_is_in_and_that_running_again_is_safe(tmp_path: Path) -> None:
    rows = "".join(f"ann,item {number},1714564800\n" for number in range(400_000))
    file = written(tmp_path / "orders.csv", "who,sku,at\n" + rows)
    program = "from serving.importing.command import import_app; import_app()"
    flags = [*FLAGS, "--constant", "type=purchase", "--data-folder", str(tmp_path)]

    running = subprocess.Popen(
        [sys.executable, "-c", program, "events", str(file), *flags], stderr=subprocess.PIPE
    )
    while not (tmp_path / "log" / "log.sqlite-wal").exists():
        time.sleep(0.01)
    time.sleep(0.5)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)

    assert running.returncode == 130
    assert b"rows are in and safe" in said


def test_rejects_that_cannot_be_written_stop_the_import_and_say_so(
    tmp_path: Path, importing: Import
) -> None:
    file = tmp_path / "orders.csv"
    file.write_text("who,sku,at,n\nu1,i1,no time,1\n")
    (tmp_path / "rejects").write_text("a file where the folder should be")

    with pytest.raises(Unavailable, match="rejected rows cannot be written"):
        importing(file)
