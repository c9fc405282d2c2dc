from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest

from protos.recsys.v1 import event_service_pb2 as event_pb
from protos.recsys.v1 import recommendation_service_pb2 as pb
from recsys.errors import InvalidInput
from recsys.events import Event, EventType
from recsys.ids import ItemId
from recsys.query import Query, Reason, ReasonCode, Recommendation, RecommendedItem, Tier
from serving.api import client_codec, codec
from serving.ingest import RejectedEvent, WriteResult

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def event_message(**changed: object) -> event_pb.Event:
    fields: dict[str, object] = {
        "event_id": "e1",
        "type": event_pb.EVENT_TYPE_PURCHASE,
        "item_id": "bread",
        "user_id": "ann",
    }
    return event_pb.Event(**(fields | changed))  # type: ignore[arg-type]  # any field may change


def decode_one(message: event_pb.Event) -> tuple[Event | None, RejectedEvent | None]:
    valid, rejected = codec.decode_events(event_pb.WriteEventsRequest(events=[message]), now=NOW)
    return (valid[0] if valid else None), (rejected[0] if rejected else None)


def test_full_request_becomes_the_query_it_says() -> None:
    request = pb.RecommendRequest(
        placement="home",
        user_id="ann",
        visitor_id="v",
        session_id="s",
        seed_item_ids=["bread"],
        excluded_item_ids=["milk", "tea"],
        page_size=7,
    )

    query = codec.decode_query(request, now=NOW)

    assert query == Query(
        "home", NOW, "ann", "v", "s", (ItemId("bread"),), (ItemId("milk"), ItemId("tea")), 7
    )


@pytest.mark.parametrize(("page_size", "limit"), [(0, 0), (500, 500), (501, 500), (2**31 - 1, 500)])
def test_page_size_above_the_maximum_means_the_maximum(page_size: int, limit: int) -> None:
    request = pb.RecommendRequest(placement="home", page_size=page_size)

    assert codec.decode_query(request, now=NOW).limit == limit


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.RecommendRequest(), "placement"),
        (pb.RecommendRequest(placement="ho\nme"), "placement"),
        (pb.RecommendRequest(placement="home", page_size=-1), "page_size"),
        (pb.RecommendRequest(placement="home", user_id="x" * 129), "user_id"),
        (pb.RecommendRequest(placement="home", user_id="ü" * 65), "user_id"),
        (pb.RecommendRequest(placement="home", visitor_id="a\x00b"), "visitor_id"),
        (pb.RecommendRequest(placement="home", session_id="\u202e"), "session_id"),
        (pb.RecommendRequest(placement="home", seed_item_ids=["a"] * 51), "seed_item_ids"),
        (pb.RecommendRequest(placement="home", seed_item_ids=["a", ""]), "seed_item_ids[1]"),
        (
            pb.RecommendRequest(placement="home", excluded_item_ids=["a"] * 1_001),
            "excluded_item_ids",
        ),
    ],
)
def test_field_out_of_its_limits_is_named_in_the_error(
    request_: pb.RecommendRequest, field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        codec.decode_query(request_, now=NOW)

    assert caught.value.field == field


def test_lists_at_their_limits_are_accepted() -> None:
    request = pb.RecommendRequest(
        placement="home", seed_item_ids=["a"] * 50, excluded_item_ids=["b" * 128] * 1_000
    )

    query = codec.decode_query(request, now=NOW)

    assert (len(query.seeds), len(query.excluded)) == (50, 1_000)


def test_event_without_time_and_quantity_gets_the_servers_time_and_one_piece() -> None:
    event, _ = decode_one(event_message())

    assert event is not None
    assert (event.time, event.quantity, event.price) == (NOW, 1.0, None)


def test_price_of_zero_is_a_price() -> None:
    event, _ = decode_one(event_message(price=0.0))

    assert event is not None
    assert event.price == 0.0


def test_event_time_up_to_a_day_ahead_is_accepted() -> None:
    message = event_message()
    message.time.FromDatetime(NOW + timedelta(days=1))

    event, _ = decode_one(message)

    assert event is not None
    assert event.time == NOW + timedelta(days=1)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"event_id": ""}, "event_id"),
        ({"event_id": "x" * 129}, "event_id"),
        ({"type": event_pb.EVENT_TYPE_UNSPECIFIED}, "type"),
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
        ({"channel": "x" * 129}, "channel"),
        ({"attribution_token": "x" * 513}, "attribution_token"),
        ({"time": {"seconds": int(NOW.timestamp()) + 86_401}}, "time"),
        ({"time": {"seconds": 0}}, "time"),
        ({"time": {"seconds": -1}}, "time"),
        ({"time": {"seconds": 2**62}}, "time"),
        ({"time": {"seconds": 1_700_000_000, "nanos": -5}}, "time"),
    ],
)
def test_bad_event_is_rejected_by_index_and_field(changed: dict[str, object], field: str) -> None:
    request = event_pb.WriteEventsRequest(
        events=[event_message(event_id="good"), event_message(**changed)]
    )

    valid, rejected = codec.decode_events(request, now=NOW)

    assert [event.event_id for event in valid] == ["good"]
    assert [(one.index, one.field, one.reason) for one in rejected] == [(1, field, "INVALID_INPUT")]
    assert rejected[0].payload


def test_more_than_a_thousand_events_are_refused_as_a_whole() -> None:
    request = event_pb.WriteEventsRequest(events=[event_message()] * 1_001)

    with pytest.raises(InvalidInput) as caught:
        codec.decode_events(request, now=NOW)

    assert caught.value.field == "events"


def test_event_survives_the_way_over_the_wire() -> None:
    sent = [
        Event(
            event_id=kind.value,
            type=kind,
            time=NOW - timedelta(days=3),
            item_id=ItemId("brötchen"),
            user_id="ann",
            visitor_id="v",
            session_id="s",
            quantity=0.5,
            price=1.25,
            currency="EUR",
            order_id="o1",
            channel="web",
            attribution_token="t",
        )
        for kind in EventType
    ]

    received, rejected = codec.decode_events(client_codec.encode_events(sent), now=NOW)

    assert (list(received), rejected) == (sent, ())


@pytest.mark.parametrize("tier", Tier)
@pytest.mark.parametrize("degraded", ["", "STATE_UNAVAILABLE"])
def test_recommendation_survives_the_way_over_the_wire(tier: Tier, degraded: str) -> None:
    sent = Recommendation(
        items=tuple(
            RecommendedItem(
                ItemId(code.value),
                "Title",
                place,
                0.5,
                "nearest",
                Reason(code, "Because.", (ItemId("tea"),)),
            )
            for place, code in enumerate(ReasonCode, start=1)
        ),
        placement="home",
        tier=tier,
        bundle_version="v1",
        attribution_token="token",
        degraded=degraded,
        missing_ids=(ItemId("gone"),),
    )

    received = client_codec.decode_recommendation(codec.encode_recommendation(sent))

    assert received == sent


def test_degradation_without_a_number_is_still_said() -> None:
    sent = Recommendation((), "home", Tier.POPULAR, "v1", "", degraded="SOMETHING_NEW")

    response = codec.encode_recommendation(sent)

    assert response.degraded
    assert response.degraded_reason == pb.DEGRADED_REASON_UNSPECIFIED


def test_write_result_survives_the_way_over_the_wire() -> None:
    sent = WriteResult(2, 1, 77, (RejectedEvent(3, "item_id", "INVALID_INPUT", "item_id: got ''"),))

    received = client_codec.decode_write_result(codec.encode_write_result(sent))

    assert received == sent
