from datetime import timedelta
from pathlib import Path

import pytest

from recsys.errors import NotReady
from recsys.events import EVENT_CODES, EventType
from tests.training.small_lake import START, Line, shop_lines, write_lake
from training.datasets.enough import check_enough
from training.datasets.lake import Dataset, read_dataset

DAY = timedelta(days=1)


def dataset_of(folder: Path, lines: list[Line]) -> Dataset:
    write_lake(folder, lines)
    return read_dataset(folder / "lake")


def test_events_out_of_order_are_read_in_time_order(tmp_path: Path) -> None:
    lines = [Line("u1", 2, START + DAY), Line("u1", 1, START)]

    read = dataset_of(tmp_path, lines).interactions

    assert read.items.tolist() == [1, 2]
    assert read.positions.tolist() == [2, 1]


def test_an_event_id_that_stands_twice_counts_once_the_first_time(tmp_path: Path) -> None:
    lines = [Line("u1", row, START, event_id=name) for row, name in enumerate(["a", "b", "a"])]

    assert dataset_of(tmp_path, lines).interactions.items.tolist() == [0, 1]


def test_a_customer_is_known_by_user_id_else_visitor_else_session(tmp_path: Path) -> None:
    lines = [
        Line("u1", 0, START, visitor="v1"),
        Line("", 1, START, visitor="v1", session="s1"),
        Line("", 2, START, session="s1"),
    ]

    read = dataset_of(tmp_path, lines)

    who = [read.user_ids[user] for user in read.interactions.users]
    assert who == ["u1", "visitor:v1", "session:s1"]


def test_lines_of_an_order_share_a_basket_and_without_orders_a_day_does(tmp_path: Path) -> None:
    lines = [
        Line("u1", 0, START, "o1"),
        Line("u1", 1, START, "o1"),
        Line("u1", 2, START),
        Line("u1", 3, START + timedelta(hours=1)),
        Line("u1", 4, START + DAY),
        Line("u2", 5, START + DAY, "o1"),
    ]

    baskets = dataset_of(tmp_path, lines).interactions.baskets.tolist()

    assert baskets[0] == baskets[1]
    assert baskets[2] == baskets[3]
    assert len(set(baskets)) == 4


def test_what_kind_of_event_it_was_is_kept(tmp_path: Path) -> None:
    lines = [Line("u1", 0, START, type="hide"), Line("u1", 0, START, type="click")]

    kinds = dataset_of(tmp_path, lines).interactions.kinds.tolist()

    assert kinds == [EVENT_CODES[EventType.HIDE], EVENT_CODES[EventType.CLICK]]


def test_the_data_set_says_which_version_of_the_lake_it_is(tmp_path: Path) -> None:
    lines = [Line("u1", 0, START), Line("u2", 1, START)]

    first = dataset_of(tmp_path, lines)
    second = dataset_of(tmp_path, lines)

    assert second.lake_versions["events"] == first.lake_versions["events"] + 1
    assert first.log_position == len(lines) + 40
    assert first.catalog.name(3) == "Item 3"
    assert first.catalog.available.all()


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
