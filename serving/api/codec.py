"""Wire messages to domain values and back, with every check that a caller's input needs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from google.protobuf.text_format import MessageToString

from protos.recsys.v1 import event_service_pb2 as event_pb
from protos.recsys.v1 import recommendation_service_pb2 as pb
from recsys.errors import InvalidInput
from recsys.events import Event
from recsys.ids import ItemId, check_id
from recsys.query import (
    MOST_EXCLUDED,
    MOST_ITEMS,
    MOST_SEEDS,
    Query,
    Reason,
    Recommendation,
    RecommendedItem,
)
from serving.api.names import DEGRADED_NUMBERS, REASON_NUMBERS, TIER_NUMBERS, TYPE_NUMBERS, TYPES
from serving.ingest import RejectedEvent, WriteResult

MOST_EVENTS = 1_000
MOST_TOKEN_BYTES = 512
MOST_AHEAD = timedelta(days=1)


def decode_query(request: pb.RecommendRequest, *, now: datetime) -> Query:
    """Return what is asked. Raises InvalidInput naming the first field at fault."""
    check_id("placement", request.placement)
    for name in ("user_id", "visitor_id", "session_id"):
        if getattr(request, name):
            check_id(name, getattr(request, name))
    if request.page_size < 0:
        raise InvalidInput(
            "page_size", request.page_size, f"0 or more; above {MOST_ITEMS} means {MOST_ITEMS}"
        )
    return Query(
        placement=request.placement,
        now=now,
        user_id=request.user_id,
        visitor_id=request.visitor_id,
        session_id=request.session_id,
        seeds=_item_ids("seed_item_ids", request.seed_item_ids, MOST_SEEDS),
        excluded=_item_ids("excluded_item_ids", request.excluded_item_ids, MOST_EXCLUDED),
        limit=min(request.page_size, MOST_ITEMS),
    )


def decode_events(
    request: event_pb.WriteEventsRequest, *, now: datetime
) -> tuple[tuple[Event, ...], tuple[RejectedEvent, ...]]:
    """Return the valid events, and those rejected; both in the order of the request.

    Raises InvalidInput when there are more events than one request may carry.
    """
    if len(request.events) > MOST_EVENTS:
        raise InvalidInput("events", len(request.events), f"at most {MOST_EVENTS} events")
    valid, rejected = [], []
    for index, message in enumerate(request.events):
        try:
            valid.append(_event(message, now))
        except InvalidInput as error:
            rejected.append(
                RejectedEvent(
                    index,
                    error.field,
                    error.reason,
                    str(error),
                    payload=MessageToString(message, as_one_line=True, as_utf8=True),
                )
            )
    return tuple(valid), tuple(rejected)


def encode_recommendation(recommendation: Recommendation) -> pb.RecommendResponse:
    """Return the answer as it goes over the wire."""
    return pb.RecommendResponse(
        items=[_encode_item(item) for item in recommendation.items],
        placement=recommendation.placement,
        tier=TIER_NUMBERS[recommendation.tier],
        bundle_version=recommendation.bundle_version,
        attribution_token=recommendation.attribution_token,
        degraded=bool(recommendation.degraded),
        degraded_reason=DEGRADED_NUMBERS.get(
            recommendation.degraded, pb.DEGRADED_REASON_UNSPECIFIED
        ),
        missing_ids=recommendation.missing_ids,
    )


def encode_write_result(result: WriteResult) -> event_pb.WriteEventsResponse:
    """Return what became of the events, as it goes over the wire."""
    return event_pb.WriteEventsResponse(
        accepted_count=result.accepted,
        duplicate_count=result.duplicates,
        log_position=result.position,
        rejected=[
            event_pb.RejectedEvent(
                index=event.index, field=event.field, reason=event.reason, message=event.message
            )
            for event in result.rejected
        ],
    )


def _item_ids(field: str, ids: Sequence[str], most: int) -> tuple[ItemId, ...]:
    if len(ids) > most:
        raise InvalidInput(field, len(ids), f"at most {most:,} ids")
    for place, item_id in enumerate(ids):
        check_id(f"{field}[{place}]", item_id)
    return tuple(ItemId(item_id) for item_id in ids)


def _event(message: event_pb.Event, now: datetime) -> Event:
    """Return the event of one message. Raises InvalidInput naming the field at fault."""
    if message.type not in TYPES:
        wanted = ", ".join(event_pb.EventType.Name(number) for number in TYPE_NUMBERS.values())
        raise InvalidInput("type", message.type, f"one of {wanted}")
    event = Event(
        event_id=message.event_id,
        type=TYPES[message.type],
        time=_event_time(message, now),
        item_id=ItemId(message.item_id),
        user_id=message.user_id,
        visitor_id=message.visitor_id,
        session_id=message.session_id,
        quantity=message.quantity or 1.0,
        price=message.price if message.HasField("price") else None,
        currency=message.currency,
        order_id=message.order_id,
        channel=message.channel,
        attribution_token=_token(message.attribution_token),
    )
    event.check()
    return event


def _event_time(message: event_pb.Event, now: datetime) -> datetime:
    """Return the message's own time, or `now` where it has none."""
    if not message.HasField("time"):
        return now
    try:
        time = message.time.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        came = f"{message.time.seconds} s, {message.time.nanos} ns"
        raise InvalidInput("time", came, "a Timestamp within its own limits") from None
    if time > now + MOST_AHEAD:
        raise InvalidInput("time", str(time), "a time at most one day ahead of the server's clock")
    return time


def _token(text: str) -> str:
    if len(text.encode()) > MOST_TOKEN_BYTES or not text.isprintable():
        raise InvalidInput(
            "attribution_token", text[:64], f"at most {MOST_TOKEN_BYTES} bytes of printable text"
        )
    return text


def _encode_item(item: RecommendedItem) -> pb.RecommendedItem:
    return pb.RecommendedItem(
        item_id=item.item_id,
        position=item.position,
        score=item.score,
        source=item.source,
        reason=_encode_reason(item.reason),
        title=item.title,
    )


def _encode_reason(reason: Reason) -> pb.Reason:
    return pb.Reason(
        code=REASON_NUMBERS[reason.code], text=reason.text, anchor_item_ids=reason.anchors
    )
