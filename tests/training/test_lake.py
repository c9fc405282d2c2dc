from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from recsys.errors import NotReady
from recsys.events import EVENT_CODES, EventType
from recsys.ids import ItemId
from recsys.items import Attribute, Item
from recsys.models.described import Descriptions
from recsys.robots import RobotRule
from serving.lake import schema
from tests.training.small_lake import IMPORTED, START, Line, item_line, shop_lines, write_lake
from training.datasets.enough import check_enough
from training.datasets.lake import Dataset, read_dataset

DAY = timedelta(days=1)


def dataset_of(folder: Path, lines: list[Line], rule: RobotRule | None = None) -> Dataset:
    write_lake(folder, lines)
    return read_dataset(folder / "lake", rule)


def seconds_of(dataset: Dataset) -> list[timedelta]:
    """Return how long after the start each event counts."""
    start = START.replace(tzinfo=None)
    return [time - start for time in dataset.interactions.times.tolist()]


def test_events_out_of_order_are_read_in_time_order(tmp_path: Path) -> None:
    lines = [Line("u1", 2, START + DAY), Line("u1", 1, START)]

    read = dataset_of(tmp_path, lines).interactions

    assert read.items.tolist() == [1, 2]


def test_events_of_one_second_are_read_in_the_order_of_its_fractions(tmp_path: Path) -> None:
    fractions = [0.75, 0.25, 0.5]
    lines = [Line("u1", row, START + timedelta(seconds=f)) for row, f in enumerate(fractions)]

    read = dataset_of(tmp_path, lines).interactions

    assert read.items.tolist() == [1, 2, 0]
    assert (read.ties >> 24).tolist() == [64, 128, 192]


def test_an_order_does_not_depend_on_how_often_its_events_were_sent(tmp_path: Path) -> None:
    lines = [Line("u1", row, START, event_id=f"e{row}") for row in range(9)]

    first = dataset_of(tmp_path / "first", lines).interactions
    second = dataset_of(tmp_path / "second", lines[::-1] + lines).interactions

    assert first.items.tolist() == second.items.tolist()
    assert first.ties.tolist() == second.ties.tolist()


def test_events_without_an_item_are_not_learned_from(tmp_path: Path) -> None:
    lines = [Line("u1", -1, START, type="search"), Line("u2", 3, START)]

    read = dataset_of(tmp_path, lines)

    assert read.interactions.items.tolist() == [3]
    assert read.user_ids == ("u2",)
    assert read.log_position == len(lines) + 40


def test_events_without_an_item_alone_are_nothing_to_learn_from(tmp_path: Path) -> None:
    read = dataset_of(tmp_path, [Line("u1", -1, START, type="search")], RobotRule())

    with pytest.raises(NotReady, match="0 events but no purchase"):
        check_enough(read.interactions, window_days=14.0, history_days=14.0)


def test_the_quantity_of_a_rating_is_the_rating(tmp_path: Path) -> None:
    lines = [Line("u1", 0, START, type="rating", rating=4.0), Line("u1", 1, START, quantity=3.0)]

    read = dataset_of(tmp_path, lines).interactions

    quantities = dict(zip(read.items.tolist(), read.quantities.tolist(), strict=True))
    assert quantities == {0: 4.0, 1: 3.0}


def test_items_are_as_old_as_their_first_description_says(tmp_path: Path) -> None:
    read = dataset_of(tmp_path, [Line("u1", 0, START)])

    assert set(read.catalog.since.tolist()) == {int(IMPORTED.timestamp())}


def test_of_a_lake_from_before_first_descriptions_counted_no_age_is_known(tmp_path: Path) -> None:
    write_lake(tmp_path, [Line("u1", 0, START)])
    items = tmp_path / "lake" / "items"
    older = DeltaTable(items).to_pyarrow_table().drop_columns(["since"])
    write_deltalake(items, older, mode="overwrite", schema_mode="overwrite")

    read = read_dataset(tmp_path / "lake")

    assert set(read.catalog.since.tolist()) == {0}


def test_an_event_of_a_wrong_clock_counts_when_it_was_received(tmp_path: Path) -> None:
    lines = [
        Line("u1", 0, START + 400 * DAY, received=START),
        Line("u1", 1, START + DAY, received=START),
        Line("u1", 2, START - 400 * DAY, received=START + 2 * DAY),
    ]

    read = dataset_of(tmp_path, lines)

    assert seconds_of(read) == [-400 * DAY, 0 * DAY, DAY]
    assert read.interactions.items.tolist() == [2, 0, 1]


def test_a_server_whose_clock_was_ahead_for_a_while_moves_nothing_into_the_future(
    tmp_path: Path,
) -> None:
    ahead = START + 400 * DAY
    lines = [
        Line("u1", 0, START, received=START),
        Line("u1", 1, ahead, received=ahead),
        Line("u1", 2, START + 3 * DAY, received=START + 3 * DAY),
    ]

    read = dataset_of(tmp_path, lines)

    assert seconds_of(read) == [0 * DAY, 3 * DAY, 3 * DAY]


def test_robots_are_left_out_and_counted_and_come_back_without_a_rule(tmp_path: Path) -> None:
    hurried = [Line("fast", 0, START + timedelta(seconds=s), type="click") for s in range(4)]
    searches = [Line("fast", -1, START, type="search")]
    scanner = [Line("u1", 1, START, type="click", robot=True)]
    lines = [*hurried, *searches, *scanner, Line("u1", 2, START), Line("u1", 3, START)]

    read = dataset_of(tmp_path, lines, RobotRule(a_minute=4))
    everybody = read_dataset(tmp_path / "lake")

    assert sorted(read.interactions.items.tolist()) == [2, 3]
    assert read.user_ids == ("u1",)
    assert (read.left_out.robots, read.left_out.events) == (1, 6)
    assert len(everybody.interactions) == 7
    assert everybody.left_out.events == 0


def test_an_event_id_that_stands_twice_counts_once_the_first_time(tmp_path: Path) -> None:
    lines = [Line("u1", row, START + row * DAY, event_id=name) for row, name in enumerate("aba")]

    assert dataset_of(tmp_path, lines).interactions.items.tolist() == [0, 1]


def test_a_customer_is_known_by_user_id_else_visitor_else_session(tmp_path: Path) -> None:
    lines = [
        Line("u1", 0, START, visitor="v1"),
        Line("", 1, START + DAY, visitor="v1", session="s1"),
        Line("", 2, START + 2 * DAY, session="s1"),
    ]

    read = dataset_of(tmp_path, lines)

    who = [read.user_ids[user] for user in read.interactions.users]
    assert who == ["u1", "visitor:v1", "session:s1"]


def test_lines_of_an_order_share_a_basket_and_without_orders_a_day_does(tmp_path: Path) -> None:
    lines = [
        Line("u1", 0, START, "o1"),
        Line("u1", 1, START + timedelta(hours=1), "o1"),
        Line("u1", 2, START + timedelta(hours=2)),
        Line("u1", 3, START + timedelta(hours=3)),
        Line("u1", 4, START + DAY),
        Line("u2", 5, START + DAY, "o1"),
    ]

    baskets = dataset_of(tmp_path, lines).interactions.baskets.tolist()

    assert baskets[0] == baskets[1]
    assert baskets[2] == baskets[3]
    assert len(set(baskets)) == 4


def test_what_kind_of_event_it_was_is_kept(tmp_path: Path) -> None:
    lines = [Line("u1", 0, START, type="hide"), Line("u1", 0, START + DAY, type="click")]

    kinds = dataset_of(tmp_path, lines).interactions.kinds.tolist()

    assert kinds == [EVENT_CODES[EventType.HIDE], EVENT_CODES[EventType.CLICK]]


def test_the_data_set_says_which_version_of_the_lake_it_is(tmp_path: Path) -> None:
    lines = [Line("u1", 0, START), Line("u2", 1, START)]

    first = dataset_of(tmp_path, lines)
    second = dataset_of(tmp_path, lines)

    assert second.lake_versions["events"] == first.lake_versions["events"] + 1
    assert first.log_position == len(lines) + 40
    assert first.catalog.name(3) == "Item 3"
    assert first.catalog.items.sellable.all()


def test_what_is_said_of_an_item_is_read_whole_and_its_newest(tmp_path: Path) -> None:
    write_lake(tmp_path, [Line("u1", 0, START)])
    mug = {
        **item_line(3, 900),
        "description": "Holds tea",
        "attributes": [{"name": "colour", "value": "red"}],
        "offers": [{"market": "DE", "available": True, "currency": "EUR", "price": 3.0}],
    }
    gone = {**item_line(4, 901), "removed": True}
    table = pa.Table.from_pylist([mug, gone], schema.ITEMS)
    write_deltalake(tmp_path / "lake" / "items", table, mode="append")

    read = read_dataset(tmp_path / "lake")

    said = Attribute("colour", "red")
    known = Item(ItemId("i3"), "Item 3", "Row 3", description="Holds tea", attributes=(said,))
    found = read.descriptions.take(np.array([3, 4], dtype=np.int32))
    assert found.hashes.tolist() == Descriptions.of([known]).hashes.tolist()
    assert read.catalog.attributes.at(3) == [said]
    assert read.catalog.market_names.take(np.arange(2, dtype=np.int32)) == ["", "DE"]
    assert read.catalog.name(4) == "i4"


def test_items_written_before_they_had_descriptions_are_read_beside_newer_ones(
    tmp_path: Path,
) -> None:
    write_lake(tmp_path, [Line("u1", 0, START)])
    older = ("position", "item_row", "item_id", "title", "category", "brand", "available")
    lines = [{name: item_line(row, 1 + row)[name] for name in older} for row in range(40)]
    table = pa.Table.from_pylist(lines, pa.schema([schema.ITEMS.field(name) for name in older]))
    write_deltalake(tmp_path / "lake" / "items", table, mode="overwrite", schema_mode="overwrite")

    read = read_dataset(tmp_path / "lake")

    assert read.catalog.name(3) == "Item 3"
    assert np.diff(read.descriptions.offsets).min() > 0


def test_no_lake_says_what_is_missing_and_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="recsys import events FILE") as raised:
        read_dataset(tmp_path / "lake")

    assert raised.value.reason == "NO_EVENTS"


def test_a_lake_without_an_event_is_as_good_as_none(tmp_path: Path) -> None:
    write_lake(tmp_path, [])

    with pytest.raises(NotReady, match="no events"):
        read_dataset(tmp_path / "lake")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([Line("u1", 0, START, type="click")], "no purchase among them"),
        ([Line("u1", 0, START), Line("u1", 0, START + 20 * DAY)], "over 20.0 days.*42 days"),
        ([Line("u1", 0, START), Line("u1", 0, START + 60 * DAY)], "0 customers.*at least 20"),
    ],
)
def test_too_little_says_what_is_there_what_is_wanted_and_what_is_served(
    tmp_path: Path, lines: list[Line], said: str
) -> None:
    read = dataset_of(tmp_path, lines)

    with pytest.raises(NotReady, match=said) as raised:
        check_enough(read.interactions, window_days=14.0, history_days=14.0)

    assert "without one there are no answers" in str(raised.value)


def test_a_shop_of_ninety_days_is_enough(tmp_path: Path) -> None:
    read = dataset_of(tmp_path, shop_lines())

    check_enough(read.interactions, window_days=14.0, history_days=14.0)
