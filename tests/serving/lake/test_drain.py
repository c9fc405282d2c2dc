"""From the log to the lake: exactly once, whatever stops on the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import orjson
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from recsys.catalog import Item
from recsys.errors import Unavailable
from recsys.events import Event, EventType, Position, Record
from recsys.ids import ItemId
from serving.lake import schema
from serving.lake.drain import Drain
from serving.lake.lake import Lake
from serving.log.records import Lines
from serving.log.tail import LogTail
from serving.log.writer import Writer

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


@dataclass
class Shop:
    folder: Path
    writer: Writer
    tail: LogTail
    lake: Lake

    @property
    def drain(self) -> Drain:
        return Drain(self.tail, self.lake, self.folder / "releases")

    def append(self, *records: Record) -> None:
        self.writer.append(Lines.of(records))

    def table(self, name: str) -> pa.Table:
        return DeltaTable(self.folder / "lake" / name).to_pyarrow_table()

    def event_ids(self) -> list[str]:
        return sorted(self.table("events")["event_id"].to_pylist())

    def release(self, version: str, log_position: int) -> None:
        folder = self.folder / "releases" / version
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_bytes(orjson.dumps({"log_position": log_position}))


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    path = tmp_path / "log" / "log.sqlite"
    made = Shop(tmp_path, Writer(path, clock=lambda: NOON), LogTail(path), Lake(tmp_path / "lake"))
    made.lake.open()
    yield made
    made.writer.close()
    made.tail.close()


def bought(event_id: str, item_id: str = "bread", time: datetime = NOON) -> Record:
    return Record(Event(event_id, EventType.PURCHASE, time, ItemId(item_id), user_id="ann"))


def forget_the_mark(shop: Shop) -> None:
    """Leave what a crash between the lake's commit and the mark leaves."""
    shop.tail._connection.execute("DELETE FROM marks WHERE name = 'drained_through'")


def test_drained_records_stand_in_the_lake_with_their_columns(shop: Shop) -> None:
    event = Event(
        "e1",
        EventType.CLICK,
        NOON,
        ItemId("tea"),
        visitor_id='v "1"\\',
        quantity=2.5,
        price=3.25,
        order_id="ö",
    )
    shop.append(Record(Item(ItemId("tea"), title="Tea", available=False)), Record(event))

    drained = shop.drain.run_once()

    assert (drained.records, drained.position) == (2, 2)
    assert shop.table("events").select(schema.EVENTS.names).to_pylist() == [
        {
            "position": 2,
            "day": date(2024, 5, 1),
            "time": NOON,
            "received": NOON,
            "type": "click",
            "item_id": "tea",
            "item_row": 0,
            "user_id": "",
            "visitor_id": 'v "1"\\',
            "session_id": "",
            "quantity": 2.5,
            "price": 3.25,
            "currency": "",
            "order_id": "ö",
            "channel": "",
            "outlet": "",
            "attribution_token": "",
            "rating": None,
            "query": "",
            "category": "",
            "campaign_id": "",
            "robot": False,
            "event_id": "e1",
        }
    ]
    assert shop.table("items").to_pylist()[0]["available"] is False
    assert shop.table("items").to_pylist()[0]["price"] is None
    assert shop.table("vocabulary").to_pylist() == [{"item_row": 0, "item_id": "tea"}]


def test_nothing_waiting_moves_nothing(shop: Shop) -> None:
    versions = shop.lake.versions()

    drained = shop.drain.run_once()

    assert (drained.records, drained.position) == (0, 0)
    assert shop.lake.versions() == versions


def test_draining_goes_on_in_steps_of_the_limit(shop: Shop) -> None:
    shop.append(*(bought(str(number), f"item {number}") for number in range(5)))

    steps = [step.records for step in shop.drain.run(limit=2)]

    assert steps == [2, 2, 1]
    assert shop.event_ids() == ["0", "1", "2", "3", "4"]
    assert sorted(shop.table("vocabulary")["item_row"].to_pylist()) == [0, 1, 2, 3, 4]


def test_crash_before_the_mark_adds_nothing_when_run_again(shop: Shop) -> None:
    shop.append(bought("1"), Record(Item(ItemId("tea"))), bought("2"))
    shop.drain.run_once()
    forget_the_mark(shop)

    shop.drain.run_once()

    assert shop.event_ids() == ["1", "2"]
    assert shop.table("items").num_rows == 1
    assert shop.table("vocabulary").num_rows == 2


def test_crash_before_the_mark_adds_only_what_came_since(shop: Shop) -> None:
    shop.append(bought("1"), bought("2"))
    shop.drain.run_once()
    forget_the_mark(shop)
    shop.append(bought("3", "milk"))

    shop.drain.run_once()

    assert shop.event_ids() == ["1", "2", "3"]
    assert shop.table("vocabulary")["item_id"].to_pylist().count("milk") == 1


def test_torn_last_commit_is_moved_aside_and_its_rows_come_again(shop: Shop) -> None:
    shop.append(bought("1"))
    shop.drain.run_once()
    shop.append(bought("2"))
    shop.drain.run_once()
    last = max((shop.folder / "lake/events/_delta_log").glob("*.json"))
    last.write_bytes(last.read_bytes()[:40])
    shop.tail._connection.execute("UPDATE marks SET position = 1 WHERE name = 'drained_through'")

    torn = shop.lake.open()
    shop.drain.run_once()

    assert torn == [last]
    assert shop.event_ids() == ["1", "2"]


def test_last_commit_without_its_data_is_moved_aside(shop: Shop) -> None:
    shop.append(bought("1"))
    shop.drain.run_once()
    forget_the_mark(shop)
    (data,) = (shop.folder / "lake/events").glob("day=*/*.parquet")
    data.write_bytes(data.read_bytes()[:-9])

    torn = shop.lake.open()
    shop.drain.run_once()

    assert len(torn) == 1
    assert shop.event_ids() == ["1"]


def test_empty_first_commit_is_made_again(shop: Shop) -> None:
    (shop.folder / "lake/items/_delta_log/00000000000000000000.json").write_bytes(b"")

    torn = shop.lake.open()
    shop.append(Record(Item(ItemId("tea"))))
    shop.drain.run_once()

    assert len(torn) == 1
    assert shop.table("items").num_rows == 1


def test_torn_checkpoint_is_moved_aside(shop: Shop) -> None:
    shop.append(bought("1"))
    shop.drain.run_once()
    DeltaTable(shop.folder / "lake/events").create_checkpoint()
    (checkpoint,) = (shop.folder / "lake/events/_delta_log").glob("*.checkpoint.parquet")
    checkpoint.write_bytes(b"")

    torn = shop.lake.open()

    assert len(torn) == 2
    assert shop.event_ids() == ["1"]


def test_checkpoint_keeps_what_the_table_holds_exactly_once(shop: Shop) -> None:
    for number in range(52):
        shop.append(bought(str(number)))
        shop.drain.run_once()
    forget_the_mark(shop)

    shop.drain.run_once()

    assert shop.table("events").num_rows == 52
    assert list((shop.folder / "lake/events/_delta_log").glob("*.checkpoint.parquet"))


def test_events_are_trimmed_only_when_drained_and_applied(shop: Shop) -> None:
    shop.append(bought("1"))
    shop.append(bought("2"))
    shop.drain.run_once()
    shop.append(bought("3"))

    trimmed = [shop.drain.trim(None), shop.drain.trim(Position(1)), shop.drain.trim(Position(3))]

    left = [record.position for record in shop.tail.records(Position(0), 10)]
    assert trimmed == [0, 1, 1]
    assert left == [3]


def test_item_records_stay_for_the_oldest_release(shop: Shop) -> None:
    for number in range(4):
        shop.append(Record(Item(ItemId(str(number)))))
    shop.drain.run_once()

    without_release = shop.drain.trim(Position(4))
    shop.release("old", 2)
    shop.release("new", 4)
    with_releases = shop.drain.trim(Position(4))

    assert (without_release, with_releases) == (0, 2)


def test_unreadable_manifest_keeps_every_item_record(shop: Shop) -> None:
    shop.append(Record(Item(ItemId("tea"))))
    shop.drain.run_once()
    shop.release("good", 1)
    shop.release("bad", 1)
    (shop.folder / "releases/bad/manifest.json").write_bytes(b"{")

    assert shop.drain.trim(Position(1)) == 0


def test_record_of_any_length_is_drained_among_others(shop: Shop) -> None:
    long = Item(ItemId("rye"), currency="x" * (20 << 20))
    shop.append(Record(Item(ItemId("tea"))), Record(long), Record(Item(ItemId("oat"))))
    shop.append(bought("1"), bought("2", "x" * (20 << 20)))

    shop.drain.run_once()

    assert sorted(shop.table("items")["item_id"].to_pylist()) == ["oat", "rye", "tea"]
    assert shop.event_ids() == ["1", "2"]


@pytest.mark.parametrize("kind", ["item", "event"])
def test_record_that_is_no_row_of_the_lake_is_said_to_be_in_the_way(shop: Shop, kind: str) -> None:
    digest = b"0" * 16 if kind == "event" else b""
    shop.writer.append(Lines([kind], ["tea"], digest, b'{"item_id":"tea","price":"dear"}'))

    with pytest.raises(Unavailable, match="records 1 to 1") as caught:
        shop.drain.run_once()

    assert caught.value.reason == "LOG_UNREADABLE"
    assert shop.drain.waiting().records == 1
