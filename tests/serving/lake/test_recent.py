from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from recsys.events import Event, EventType, Record
from serving.lake.recent import recent_customers
from serving.log.records import Lines
from tests.serving.lake.drained import DAY, NOON, House, event, house


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path) as opened:
        yield opened


def recent(shop: House, limit: int) -> list[str]:
    return recent_customers(shop.folder / "log" / "log.sqlite", shop.folder / "lake", limit)


def seen(user: str, days_ago: float, kind: EventType = EventType.CLICK) -> Event:
    return event(f"{user} {days_ago}", kind, user_id=user, time=NOON - days_ago * DAY)


def test_recent_customers_come_newest_first(shop: House) -> None:
    shop.drain(seen("a", 3), seen("b", 1), seen("c", 2), seen("a", 0.5), seen("d", 9))

    assert recent(shop, 3) == ["a", "b", "c"]


def test_who_is_in_the_log_alone_is_recent_too(shop: House) -> None:
    shop.drain(seen("a", 1))
    waiting = [Record(seen("b", 0.5)), Record(seen("c", 2))]
    shop.writer.append(Lines.of(waiting))

    assert recent(shop, 3) == ["b", "a", "c"]


def test_a_clock_that_was_wrong_puts_nobody_first_for_good(shop: House) -> None:
    shop.drain(seen("ahead", -500), seen("now", -0.5))

    assert recent(shop, 3) == ["now", "ahead"]


def test_an_e_mail_that_was_sent_makes_nobody_recent(shop: House) -> None:
    shop.drain(seen("a", 1), seen("b", 0, EventType.EMAIL_SENT))

    assert recent(shop, 3) == ["a"]


def test_visitors_without_a_user_id_are_no_customers(shop: House) -> None:
    shop.drain(event("1", user_id="", visitor_id="v"))

    assert recent(shop, 3) == []


def test_an_empty_folder_knows_no_customer(tmp_path: Path) -> None:
    assert recent_customers(tmp_path / "log.sqlite", tmp_path / "lake", 3) == []
