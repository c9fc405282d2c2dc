"""Events over the wire: every rule of intake, and what quarantine keeps of those refused."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from protos.recsys.v1 import event_service_pb2 as pb
from recsys.errors import InvalidInput
from recsys.events import WITHOUT_ITEM, Channel, Event, EventType
from recsys.ids import ItemId
from serving.api import client_codec
from serving.api.event_codec import (
    MOST_KEPT_BYTES,
    Decoded,
    decode_events,
    decoded,
    encode_write_result,
    message_of_json,
)
from serving.api.names import CHANNEL_NUMBERS, TYPE_NUMBERS
from serving.ingest import RejectedEvent, WriteResult

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CRAWLER = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:148.0) Gecko/20100101 Firefox/148.0"
SECOND = timedelta(seconds=1)


def stamp(time: datetime) -> Timestamp:
    found = Timestamp()
    found.FromDatetime(time)
    return found


def message(**changed: object) -> pb.Event:
    fields: dict[str, object] = {
        "event_id": "e1",
        "type": pb.EVENT_TYPE_PURCHASE,
        "item_id": "bread",
        "user_id": "ann",
    }
    return pb.Event(**(fields | changed))  # type: ignore[arg-type]  # any field may change


def request(*messages: pb.Event, sent: datetime | None = None) -> pb.WriteEventsRequest:
    return pb.WriteEventsRequest(events=messages, sent_time=stamp(sent) if sent else None)


def accepted(one: pb.Event, sent: datetime | None = None) -> Event:
    (event,) = decode_events(request(one, sent=sent), now=NOW).valid
    return event


def refused(one: pb.Event, sent: datetime | None = None) -> RejectedEvent:
    (event,) = decode_events(request(one, sent=sent), now=NOW).rejected
    return event


def full(kind: EventType) -> Event:
    """Return an event that says all that its type may say."""
    return Event(
        event_id=kind.value,
        type=kind,
        time=NOW - timedelta(days=3),
        item_id=ItemId("" if kind in WITHOUT_ITEM else "brötchen"),
        user_id="ann",
        visitor_id="v",
        session_id="s",
        quantity=0.5,
        price=1.25,
        currency="EUR",
        order_id="o1",
        channel=Channel.STORE,
        outlet="store 12",
        attribution_token="t",
        rating=4.5 if kind is EventType.RATING else None,
        query="rye bread",
        category="Bakery > Bread",
        campaign_id="c1",
        robot=True,
        market="DE",
    )


def test_event_without_time_and_quantity_gets_the_servers_time_and_one_piece() -> None:
    event = accepted(message())

    assert (event.time, event.quantity, event.price) == (NOW, 1.0, None)


def test_price_of_zero_is_a_price() -> None:
    assert accepted(message(price=0.0)).price == 0.0


@pytest.mark.parametrize(
    ("ahead", "counts"),
    [
        (timedelta(minutes=-1), timedelta(minutes=-1)),
        (timedelta(minutes=5), timedelta(minutes=5)),
        (timedelta(minutes=5) + SECOND, timedelta(0)),
        (timedelta(days=1), timedelta(0)),
    ],
)
def test_time_further_ahead_than_clocks_differ_counts_as_now(
    ahead: timedelta, counts: timedelta
) -> None:
    assert accepted(message(time=stamp(NOW + ahead))).time == NOW + counts


def test_time_more_than_a_day_ahead_is_refused() -> None:
    assert refused(message(time=stamp(NOW + timedelta(days=1) + SECOND))).field == "time"


@pytest.mark.parametrize(
    "wrong", [timedelta(days=400), timedelta(days=-400), timedelta(seconds=31)]
)
def test_senders_wrong_clock_is_corrected_by_when_it_sent(wrong: timedelta) -> None:
    an_hour_ago = message(time=stamp(NOW + wrong - timedelta(hours=1)))

    assert accepted(an_hour_ago, sent=NOW + wrong).time == NOW - timedelta(hours=1)


def test_clock_within_what_a_request_takes_is_left_alone() -> None:
    said = NOW - timedelta(hours=1)

    event = accepted(message(time=stamp(said)), sent=NOW - timedelta(seconds=30))

    assert event.time == said


def test_time_that_no_correction_can_mend_is_refused_alone() -> None:
    first = message(time=stamp(datetime(1, 1, 1, tzinfo=UTC)))
    found = decode_events(request(first, message(), sent=NOW + timedelta(days=400)), now=NOW)

    assert [(one.index, one.field) for one in found.rejected] == [(0, "time")]
    assert len(found.valid) == 1


def test_senders_clock_that_is_no_time_refuses_the_request() -> None:
    broken = request(message())
    broken.sent_time.nanos = -5

    with pytest.raises(InvalidInput) as caught:
        decode_events(broken, now=NOW)

    assert caught.value.field == "sent_time"


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"event_id": ""}, "event_id"),
        ({"event_id": "x" * 129}, "event_id"),
        ({"type": pb.EVENT_TYPE_UNSPECIFIED}, "type"),
        ({"type": 99}, "type"),
        ({"item_id": ""}, "item_id"),
        ({"user_id": ""}, "user_id"),
        ({"quantity": -1.0}, "quantity"),
        ({"quantity": math.nan}, "quantity"),
        ({"quantity": math.inf}, "quantity"),
        ({"price": -0.01}, "price"),
        ({"price": math.nan}, "price"),
        ({"price": math.inf}, "price"),
        ({"order_id": "a\tb"}, "order_id"),
        ({"channel": 99}, "channel"),
        ({"outlet": "x" * 129}, "outlet"),
        ({"market": "x" * 33}, "market"),
        ({"campaign_id": "\u202e"}, "campaign_id"),
        ({"attribution_token": "x" * 513}, "attribution_token"),
        ({"query": "x" * 513}, "query"),
        ({"category": "x" * 1_025}, "category"),
        ({"rating": 3.0}, "rating"),
        ({"time": {"seconds": 0}}, "time"),
        ({"time": {"seconds": -1}}, "time"),
        ({"time": {"seconds": 2**62}}, "time"),
        ({"time": {"seconds": 1_700_000_000, "nanos": -5}}, "time"),
    ],
)
def test_bad_event_is_rejected_by_index_and_field(changed: dict[str, object], field: str) -> None:
    found = decode_events(request(message(event_id="good"), message(**changed)), now=NOW)

    assert [event.event_id for event in found.valid] == ["good"]
    told = [(one.index, one.field, one.reason) for one in found.rejected]
    assert told == [(1, field, "INVALID_INPUT")]
    assert orjson.loads(found.rejected[0].payload)


@pytest.mark.parametrize("kind", EventType)
def test_item_is_needed_by_the_types_that_are_about_one(kind: EventType) -> None:
    what = {"query": "rye", "category": "Bread"}
    rated = {"rating": 4.0} if kind is EventType.RATING else {}

    found = decoded([message(type=TYPE_NUMBERS[kind], item_id="", **what, **rated)], now=NOW)

    refused_for = [one.field for one in found.rejected]
    assert refused_for == ([] if kind in WITHOUT_ITEM else ["item_id"])


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        (pb.EVENT_TYPE_SEARCH, "query"),
        (pb.EVENT_TYPE_CATEGORY_VIEW, "category"),
        (pb.EVENT_TYPE_RATING, "rating"),
    ],
)
def test_type_without_what_it_is_about_is_refused(kind: int, field: str) -> None:
    assert refused(message(type=kind)).field == field


@pytest.mark.parametrize("rating", [0.0, 0.99, 5.01, -1.0, math.nan])
def test_rating_outside_of_one_to_five_is_refused(rating: float) -> None:
    assert refused(message(type=pb.EVENT_TYPE_RATING, rating=rating)).field == "rating"


@pytest.mark.parametrize("rating", [1.0, 5.0])
def test_rating_at_its_limits_is_accepted(rating: float) -> None:
    assert accepted(message(type=pb.EVENT_TYPE_RATING, rating=rating)).rating == rating


@pytest.mark.parametrize("channel", Channel)
def test_every_channel_has_its_number(channel: Channel) -> None:
    assert accepted(message(channel=CHANNEL_NUMBERS[channel])).channel is channel


@pytest.mark.parametrize(
    ("told", "robot"),
    [
        ({}, False),
        ({"user_agent": BROWSER}, False),
        ({"user_agent": CRAWLER}, True),
        ({"user_agent": CRAWLER.upper()}, True),
        ({"user_agent": "x" * 2_000 + CRAWLER}, False),
        ({"robot": True, "user_agent": BROWSER}, True),
    ],
)
def test_robot_is_known_by_its_software_or_because_the_shop_says_so(
    told: dict[str, object], robot: bool
) -> None:
    assert accepted(message(**told)).robot is robot


@pytest.mark.parametrize(
    "changed",
    [
        {"user_id": "\ud800"},
        {"quantity": "x"},
        {"item_id": 7},
        {"type": "no type"},
        {"time": "yesterday"},
    ],
)
def test_event_that_cannot_be_sent_is_refused_by_the_client(changed: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        client_codec.encode_events([replace(full(EventType.LIKE), **changed)])


@pytest.mark.parametrize("asked", [{"user_id": "\ud800"}, {"seeds": [7]}, {"limit": 1 << 40}])
def test_query_that_cannot_be_sent_is_refused_by_the_client(asked: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        client_codec.encode_query("home", **asked)


def test_more_than_a_thousand_events_are_refused_as_a_whole() -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_events(request(*[message()] * 1_001), now=NOW)

    assert caught.value.field == "events"


@pytest.mark.parametrize("kind", EventType)
def test_event_survives_the_way_over_the_wire(kind: EventType) -> None:
    sent = full(kind)

    received = decode_events(client_codec.encode_events([sent]), now=NOW)

    assert received == Decoded((sent,), ())


def again(one: RejectedEvent) -> pb.Event:
    return message_of_json(one.payload)


def test_quarantine_keeps_an_event_with_all_its_fields() -> None:
    sent = full(EventType.SEARCH)
    (broken,) = client_codec.encode_events([replace(sent, event_id="x" * 129)]).events

    mended = again(refused(broken))
    mended.event_id = sent.event_id

    assert accepted(mended) == sent


def test_quarantine_keeps_what_a_user_agent_told_but_not_the_user_agent() -> None:
    one = refused(message(quantity=-1.0, user_agent=CRAWLER))

    assert "Googlebot" not in one.payload
    assert again(one).robot


def test_quarantine_keeps_the_time_as_corrected() -> None:
    wrong = timedelta(days=20)
    said = message(quantity=-1.0, time=stamp(NOW + wrong - timedelta(hours=1)))

    kept = again(refused(said, sent=NOW + wrong))

    assert kept.time.ToDatetime(tzinfo=UTC) == NOW - timedelta(hours=1)


def test_time_that_is_none_is_kept_readable_and_has_to_be_mended() -> None:
    one = refused(message(time={"seconds": 2**62}))

    assert str(2**62) in orjson.loads(one.payload)["time"]
    with pytest.raises(InvalidInput, match="time"):
        again(one)


@pytest.mark.parametrize("much", ["x" * 100_000, "\0" * 20_000, "\0" * 3_900_000])
def test_quarantine_keeps_of_a_large_event_what_fits_and_says_so(much: str) -> None:
    one = refused(message(item_id=much, query="tea"))

    kept = orjson.loads(one.payload)
    assert len(one.payload) <= MOST_KEPT_BYTES
    assert (kept["item_id"], kept["query"], kept["truncated"]) == (much[:512], "tea", ["item_id"])
    assert "truncated: item_id" in one.message


def test_every_text_of_an_event_may_be_large_at_once() -> None:
    texts = [field.name for field in pb.Event.DESCRIPTOR.fields if field.type == field.TYPE_STRING]

    one = refused(message(**dict.fromkeys(texts, "\0" * 60_000)))

    assert len(one.payload) <= MOST_KEPT_BYTES
    assert set(orjson.loads(one.payload)["truncated"]) == {*texts} - {"user_agent"}


def test_event_that_just_fits_is_kept_whole() -> None:
    much = "x" * 60_000

    assert again(refused(message(item_id=much))).item_id == much


def test_event_with_cut_texts_cannot_be_sent_again_until_it_is_mended() -> None:
    one = refused(message(item_id="x" * 100_000))
    mended = orjson.loads(one.payload) | {"item_id": "tea"}

    with pytest.raises(InvalidInput, match=r"truncated.*item_id.*whole"):
        again(one)
    del mended["truncated"]
    assert accepted(message_of_json(orjson.dumps(mended))).item_id == "tea"


@pytest.mark.parametrize("name", [field.name for field in pb.Event.DESCRIPTOR.fields])
@pytest.mark.parametrize(
    "value",
    [
        '"text"',
        "1" + "0" * 40,
        "-1",
        "1e300",
        "1e999",
        "1.5",
        "true",
        "[[1]]",
        '{"a": {"b": 1}}',
        "[" * 200 + "]" * 200,
        '"9999-12-31T23:59:59-23:59"',
        '"2026-01-01T00:00:00+99:99"',
    ],
)
def test_field_of_any_type_makes_an_event_or_is_refused(name: str, value: str) -> None:
    with suppress(InvalidInput):
        assert isinstance(message_of_json(f'{{"{name}": {value}}}'), pb.Event)


def test_what_is_said_of_json_that_is_no_event_is_short() -> None:
    with pytest.raises(InvalidInput) as caught:
        message_of_json(orjson.dumps({"x" * 5_000: 1}))

    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", '"text"', '{"no_such_field": 1}', '{"type": "EVENT_TYPE_NONE"}']
)
def test_json_that_is_no_event_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        message_of_json(text)


def test_write_result_survives_the_way_over_the_wire() -> None:
    sent = WriteResult(2, 1, 77, (RejectedEvent(3, "item_id", "INVALID_INPUT", "item_id: got ''"),))

    received = client_codec.decode_write_result(encode_write_result(sent))

    assert received == sent
