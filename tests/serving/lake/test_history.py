"""The newest events and what comes next are the same, whether log or lake has them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recsys.events import Event, EventType, Position, Record
from recsys.ids import ItemId
from serving.lake import history
from serving.lake.drain import Drain
from serving.lake.history import EventHistory, Row, Wanted
from serving.lake.lake import Lake
from serving.log.records import Lines
from serving.log.tail import LogTail
from serving.log.writer import Writer

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Shop:
    """A data folder whose events a test writes, drains and trims."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.writer = Writer(folder / "log.sqlite", clock=lambda: NOON)
        self.tail = LogTail(folder / "log.sqlite")
        self.history = EventHistory(self.tail, folder / "lake")
        self.n_events = 0

    def happens(self, *kinds: EventType, user: str = "ann") -> None:
        for kind in kinds:
            self.n_events += 1
            time = NOON - timedelta(seconds=self.n_events)
            event = Event(f"e{self.n_events}", kind, time, ItemId("tea"), user_id=user)
            self.writer.append(Lines.of([Record(event)]))

    def is_drained(self, *, trimmed: bool = False) -> None:
        lake = Lake(self.folder / "lake")
        lake.open()
        drain = Drain(self.tail, lake)
        drain.run_once()
        if trimmed:
            drain.trim(self.tail.last_position())


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    one = Shop(tmp_path)
    yield one
    one.tail.close()
    one.writer.close()


def positions(rows: list[Row]) -> list[int]:
    return [row["position"] for row in rows]


ALL = Wanted()
LIKE, CLICK = EventType.LIKE, EventType.CLICK


@pytest.mark.parametrize("trimmed", [False, True])
def test_newest_come_last_whatever_left_the_log(shop: Shop, trimmed: bool) -> None:
    shop.happens(LIKE, LIKE, LIKE)
    shop.is_drained(trimmed=trimmed)
    shop.happens(CLICK, CLICK)

    assert positions(shop.history.latest(ALL, 4)) == [2, 3, 4, 5]
    assert positions(shop.history.latest(ALL, 100)) == [1, 2, 3, 4, 5]


def test_only_what_is_wanted_is_shown_from_log_and_lake(shop: Shop) -> None:
    shop.happens(LIKE, CLICK, user="ann")
    shop.happens(LIKE, CLICK, user="ben")
    shop.is_drained(trimmed=True)
    shop.happens(LIKE, CLICK, user="ann")

    assert positions(shop.history.latest(Wanted(LIKE), 9)) == [1, 3, 5]
    assert positions(shop.history.latest(Wanted(LIKE, "ann"), 9)) == [1, 5]
    assert positions(shop.history.latest(Wanted(who="ben"), 9)) == [3, 4]


def test_log_longer_than_a_step_is_looked_through_backwards(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "RECORDS_A_STEP", 2)
    shop.happens(*[LIKE] * 7)

    assert positions(shop.history.latest(ALL, 5)) == [3, 4, 5, 6, 7]


def test_row_tells_the_event_alike_from_log_and_lake(shop: Shop) -> None:
    shop.happens(LIKE)
    (in_log,) = shop.history.latest(ALL, 1)
    shop.is_drained(trimmed=True)

    (in_lake,) = shop.history.latest(ALL, 1)

    assert in_log == in_lake
    assert (in_log["event_id"], in_log["user_id"], in_log["received"]) == ("e1", "ann", NOON)


def test_what_comes_behind_a_position_is_found_once_though_it_leaves_the_log(shop: Shop) -> None:
    shop.happens(LIKE, LIKE, LIKE)
    first, reached = shop.history.behind(Position(1), ALL)
    shop.happens(LIKE, LIKE)
    shop.is_drained(trimmed=True)
    shop.happens(LIKE)

    second, reached = shop.history.behind(reached, ALL)
    third, reached = shop.history.behind(reached, ALL)
    fourth, _ = shop.history.behind(reached, ALL)

    assert [positions(rows) for rows in (first, second, third, fourth)] == [[2, 3], [4, 5], [6], []]


def test_empty_log_has_no_events(shop: Shop) -> None:
    assert shop.history.latest(ALL, 5) == []
    assert shop.history.behind(Position(0), ALL) == ([], 0)


def test_more_than_a_step_that_left_the_log_at_once_comes_step_by_step(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "RECORDS_A_STEP", 2)
    shop.happens(*[LIKE] * 5)
    shop.is_drained(trimmed=True)

    found, after = [], Position(0)
    while after < 5:
        rows, after = shop.history.behind(after, ALL)
        found += positions(rows)

    assert found == [1, 2, 3, 4, 5]
