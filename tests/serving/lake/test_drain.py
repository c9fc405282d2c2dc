"""From the log to the lake: exactly once, whatever stops on the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from recsys.errors import Unavailable
from recsys.events import Event, EventType, Position, Record
from recsys.ids import ItemId
from recsys.items import Attribute, Item, Offer, Removal
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
        return Drain(self.tail, self.lake)

    def append(self, *facts: Record | Item) -> None:
        for fact in facts:
            if isinstance(fact, Item):
                self.writer.change_items([fact])
            else:
                self.writer.append(Lines.of([fact]))

    def table(self, name: str) -> pa.Table:
        return DeltaTable(self.folder / "lake" / name).to_pyarrow_table()

    def event_ids(self) -> list[str]:
        return sorted(self.table("events")["event_id"].to_pylist())


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
    shop.append(Item(ItemId("tea"), title="Tea", available=False), Record(event))

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
            "market": "",
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
    shop.append(bought("1"), Item(ItemId("tea")), bought("2"))
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
    shop.append(Item(ItemId("tea")))
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


def test_pointer_to_a_checkpoint_whose_name_was_lost_is_moved_aside(shop: Shop) -> None:
    shop.append(bought("1"))
    shop.drain.run_once()
    DeltaTable(shop.folder / "lake/events").create_checkpoint()
    (checkpoint,) = (shop.folder / "lake/events/_delta_log").glob("*.checkpoint.parquet")
    checkpoint.unlink()

    torn = shop.lake.open()

    assert [path.name for path in torn] == ["_last_checkpoint"]
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


def test_item_reaches_the_lake_as_it_was_last_described(shop: Shop) -> None:
    shop.append(Item(ItemId("tea"), title="Tea"), bought("1"), Item(ItemId("tea"), title="Tee"))
    shop.drain.run_once()
    shop.append(bought("2"), Item(ItemId("tea"), title="Thé"))

    shop.drain.run_once()

    items = shop.table("items").select(["position", "item_row", "title"]).sort_by("position")
    assert items.to_pylist() == [
        {"position": 3, "item_row": 0, "title": "Tee"},
        {"position": 5, "item_row": 0, "title": "Thé"},
    ]


def test_removed_item_says_so_in_the_lake(shop: Shop) -> None:
    shop.append(Item(ItemId("tea"), title="Tea"))
    shop.drain.run_once()
    shop.writer.change_items([Removal(ItemId("tea"))])

    shop.drain.run_once()

    items = shop.table("items").select(["item_id", "removed"]).sort_by("removed")
    assert items.to_pylist() == [
        {"item_id": "tea", "removed": False},
        {"item_id": "tea", "removed": True},
    ]


def test_whole_item_stands_in_the_lake(shop: Shop) -> None:
    offer = Offer("DE", 2.5, "EUR", available=False, sale_price=2.0, stock=3.0)
    tea = Item(
        ItemId("tea"), description="Green", sale_price=1.5, stock=7.0, group_id="teas", hidden=True,
        available_from=NOON, expires=NOON, attributes=(Attribute("leaf", "whole"),),
        offers=(offer, Offer("AT")),
    )  # fmt: skip
    shop.append(tea)

    shop.drain.run_once()

    (row,) = shop.table("items").to_pylist()
    known = {name: row[name] for name in ("description", "sale_price", "stock", "group_id")}
    assert known == {"description": "Green", "sale_price": 1.5, "stock": 7.0, "group_id": "teas"}
    assert (row["hidden"], row["available_from"], row["expires"]) == (True, NOON, NOON)
    assert row["attributes"] == [{"name": "leaf", "value": "whole"}]
    assert row["offers"] == [asdict(offer), asdict(Offer("AT"))]


def test_items_are_drained_in_steps_as_events_are(shop: Shop) -> None:
    shop.append(*(Item(ItemId(str(number))) for number in range(5)))

    steps = [step.records for step in shop.drain.run(2)]

    assert steps == [2, 2, 1]
    assert shop.table("items").num_rows == 5


def test_record_of_any_length_is_drained_among_others(shop: Shop) -> None:
    long = Item(ItemId("rye"), currency="x" * (20 << 20))
    shop.append(Item(ItemId("tea")), long, Item(ItemId("oat")))
    shop.append(bought("1"), bought("2", "x" * (20 << 20)))

    shop.drain.run_once()

    assert sorted(shop.table("items")["item_id"].to_pylist()) == ["oat", "rye", "tea"]
    assert shop.event_ids() == ["1", "2"]


def test_event_that_is_no_row_of_the_lake_is_said_to_be_in_the_way(shop: Shop) -> None:
    shop.writer.append(Lines(["tea"], b"0" * 16, b'{"item_id":"tea","price":"dear"}'))

    with pytest.raises(Unavailable, match="records 1 to 1") as caught:
        shop.drain.run_once()

    assert caught.value.reason == "LOG_UNREADABLE"
    assert shop.drain.waiting().records == 1
