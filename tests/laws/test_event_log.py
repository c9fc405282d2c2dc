"""The laws of `EventLog`, for every implementation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recsys.events import Channel, Event, EventType, Position, Record
from recsys.ids import ItemId
from serving.log.event_log import EventLog, Rejected
from serving.log.sqlite_log import SqliteLog

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
START = Position(0)


def sqlite(folder: Path) -> SqliteLog:
    return SqliteLog(folder / "log.sqlite", clock=lambda: NOON)


IMPLEMENTATIONS: dict[str, Callable[[Path], SqliteLog]] = {"sqlite": sqlite}


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EventLog]:
    opened = IMPLEMENTATIONS[request.param](tmp_path)
    yield opened
    await opened.close()


def bought(event_id: str, item_id: str = "bread", **given: object) -> Record:
    fields = {"user_id": "ann", **given}
    return Record(Event(event_id, EventType.PURCHASE, NOON, ItemId(item_id), **fields))  # type: ignore[arg-type]


async def test_appended_records_are_read_back_as_they_were_returned(log: EventLog) -> None:
    records = [
        bought("1", price=2.5, quantity=3.0, currency="EUR", order_id="o1"),
        bought("2", "milk", user_id="", session_id="s"),
        bought("3", "", channel=Channel.STORE, outlet="12", rating=4.5, query="ö", robot=True),
        bought("4", category="Tea", campaign_id="spring", attribution_token="v1.x"),
    ]

    appended = await log.append(records)

    assert tuple(await log.read(START, 10)) == appended.new
    assert [record.fact for record in appended.new] == [record.fact for record in records]


async def test_positions_ascend_from_one_append_to_the_next(log: EventLog) -> None:
    first = await log.append([bought("1"), bought("2")])
    second = await log.append([bought("3")])

    positions = [record.position for record in (*first.new, *second.new)]

    assert positions == sorted(set(positions))
    assert positions[0] > 0
    assert second.last_position == positions[-1] == await log.last_position()


async def test_event_sent_again_is_flagged_and_not_stored(log: EventLog) -> None:
    await log.append([bought("1"), bought("2")])

    appended = await log.append([bought("2"), bought("3"), bought("1")])

    assert [record is None for record in appended.records] == [True, False, True]
    assert appended.n_duplicates == 2
    assert [record.fact.event_id for record in await log.read(START, 10)] == ["1", "2", "3"]


async def test_event_twice_in_one_append_is_stored_once(log: EventLog) -> None:
    appended = await log.append([bought("1"), bought("2"), bought("1")])

    assert [record is None for record in appended.records] == [False, False, True]
    assert len(await log.read(START, 10)) == 2


async def test_item_keeps_its_row_from_one_append_to_the_next(log: EventLog) -> None:
    first = await log.append([bought("1", "bread"), bought("2", "milk"), bought("3", "bread")])

    second = await log.append([bought("4", "tea"), bought("5", "milk"), bought("6", "tea")])

    assert [record.item_row for record in first.new] == [0, 1, 0]
    assert [record.item_row for record in second.new] == [2, 1, 2]


async def test_duplicate_gives_its_item_no_row(log: EventLog) -> None:
    await log.append([bought("1", "bread")])

    appended = await log.append([bought("1", "never seen"), bought("2", "milk")])

    assert [record.item_row for record in appended.new] == [1]


async def test_reading_goes_on_behind_a_position_up_to_a_limit(log: EventLog) -> None:
    appended = await log.append([bought(str(number)) for number in range(5)])

    part = await log.read(Position(appended.new[1].position), 2)

    assert list(part) == list(appended.new[2:4])


async def test_appends_at_the_same_moment_each_get_their_own_answer(log: EventLog) -> None:
    answers = await asyncio.gather(
        *(log.append([bought(f"{one}"), bought(f"{one}-again")]) for one in range(50))
    )

    assert [answer.new[0].fact.event_id for answer in answers] == [str(one) for one in range(50)]
    assert len({record.position for answer in answers for record in answer.new}) == 100


async def test_append_of_nothing_changes_nothing(log: EventLog) -> None:
    await log.append([bought("1")])

    appended = await log.append([])

    assert appended.records == ()
    assert appended.last_position == 1


def rejected(number: int) -> Rejected:
    return Rejected(f"payload {number}", "INVALID_INPUT", "too old", "events[0].time", NOON)


async def test_rejected_events_are_listed_newest_first(log: EventLog) -> None:
    await log.append([bought("1")], [rejected(1), rejected(2), rejected(3)])

    listed = await log.quarantined(2)

    assert [replace(one, number=0) for one in listed] == [rejected(3), rejected(2)]
    assert listed[0].number > listed[1].number > 0


async def test_listing_of_rejected_events_goes_on_below_a_number(log: EventLog) -> None:
    await log.append([], [rejected(number) for number in range(5)])
    first = await log.quarantined(2)

    rest = await log.quarantined(10, before=first[-1].number)

    assert [one.payload for one in rest] == ["payload 2", "payload 1", "payload 0"]


async def test_resolved_events_leave_quarantine(log: EventLog) -> None:
    await log.append([], [rejected(number) for number in range(3)])
    _, middle, _ = await log.quarantined(3)

    resolved = await log.resolve([middle.number, middle.number + 1_000])

    assert resolved == 1
    assert [one.payload for one in await log.quarantined(3)] == ["payload 2", "payload 0"]


async def test_event_without_an_item_has_no_row_and_gives_none(log: EventLog) -> None:
    appended = await log.append([bought("1", ""), bought("2", "bread"), bought("3", "")])

    assert [record.item_row for record in appended.new] == [-1, 0, -1]
    assert tuple(await log.read(START, 10)) == appended.new


async def test_records_say_when_the_log_took_them(log: EventLog) -> None:
    await log.append([bought("1"), bought("2", "tea")])

    assert [record.received for record in await log.read(START, 10)] == [NOON, NOON]


async def test_repeats_in_an_append_leave_the_others_in_place(log: EventLog) -> None:
    await log.append([bought("1")])

    appended = await log.append([bought(one) for one in ("3", "1", "4", "2", "2", "5")])

    assert [record is None for record in appended.records] == [
        False, True, False, False, True, False,
    ]  # fmt: skip
    assert [record.position for record in appended.new] == [2, 3, 4, 5]
    assert tuple(await log.read(Position(1), 10)) == appended.new
