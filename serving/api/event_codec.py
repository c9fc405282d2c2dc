"""Events between the wire and the domain, with every check that a caller's input needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError

from protos.recsys.v1 import event_service_pb2 as pb
from recsys.errors import InvalidInput
from recsys.events import Event
from recsys.ids import ItemId
from serving.api.instants import instant_of
from serving.api.names import CHANNELS, TYPE_NUMBERS, TYPES
from serving.api.user_agents import is_robot
from serving.ingest import RejectedEvent, WriteResult
from serving.intake import checked_token, counted_time

MOST_EVENTS = 1_000
MOST_KEPT_BYTES = 65_536
"""Of a rejected event, as JSON; one that is larger is kept with its texts cut."""

LIKELY_OFF = timedelta(seconds=30)
"""What a request may take on its way; a sender's clock further off is corrected."""

_CUT_CHARACTERS = 512
_TRUNCATED = "truncated"
_NO_CORRECTION = timedelta(0)
_MOST_TOLD = 200
_JSON_WANTED = "a JSON object with the fields of an Event"
_WHOLE_WANTED = f"these fields whole, as the shop has them, and no `{_TRUNCATED}`"
_TYPE_NAMES = ", ".join(pb.EventType.Name(number) for number in TYPE_NUMBERS.values())

Document = Mapping[str, Any]
"""An event as JSON, with the wire's field names."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """The events of one request, each list in its order."""

    valid: tuple[Event, ...]
    rejected: tuple[RejectedEvent, ...]


def decode_events(request: pb.WriteEventsRequest, *, now: datetime) -> Decoded:
    """Return the valid events, and those rejected.

    Raises InvalidInput when there are more events than one request may carry, or the sender's
    clock makes no sense.
    """
    if len(request.events) > MOST_EVENTS:
        raise InvalidInput("events", len(request.events), f"at most {MOST_EVENTS} events")
    return decoded(request.events, now=now, correction=_correction(request, now))


def decoded(
    messages: Iterable[pb.Event], *, now: datetime, correction: timedelta = _NO_CORRECTION
) -> Decoded:
    """Return the events of these messages. correction: is added to every time they name."""
    valid, rejected = [], []
    for index, message in enumerate(messages):
        try:
            valid.append(event_of(message, now=now, correction=correction))
        except InvalidInput as error:
            rejected.append(_rejected(index, error, _kept(message, correction)))
    return Decoded(tuple(valid), tuple(rejected))


def event_of(message: pb.Event, *, now: datetime, correction: timedelta = _NO_CORRECTION) -> Event:
    """Return the event of one message, checked. Raises InvalidInput naming the field at fault."""
    event = _event(message, now, correction)
    event.check()
    return event


def message_of_json(text: str | bytes) -> pb.Event:
    """Return the event in a JSON document with the wire's field names, as quarantine keeps it.

    Raises InvalidInput where it is none, or was kept with its texts cut.
    """
    try:
        document = orjson.loads(text)
        if not isinstance(document, dict):
            raise InvalidInput("event", type(document).__name__, _JSON_WANTED)
        if _TRUNCATED in document:
            raise InvalidInput(_TRUNCATED, _short(document[_TRUNCATED]), _WHOLE_WANTED)
        return ParseDict(document, pb.Event())
    except (
        ParseError,
        ValueError,
        TypeError,
        OverflowError,
    ) as error:  # which depends on the engine
        raise InvalidInput("event", _short(error), _JSON_WANTED) from error


def encode_write_result(result: WriteResult) -> pb.WriteEventsResponse:
    """Return what became of the events, as it goes over the wire."""
    return pb.WriteEventsResponse(
        accepted_count=result.accepted,
        duplicate_count=result.duplicates,
        log_position=result.position,
        rejected=[
            pb.RejectedEvent(
                index=event.index, field=event.field, reason=event.reason, message=event.message
            )
            for event in result.rejected
        ],
    )


def _correction(request: pb.WriteEventsRequest, now: datetime) -> timedelta:
    """Return how far the sender's clock is behind ours, 0 where that is within what is likely."""
    if not request.HasField("sent_time"):
        return _NO_CORRECTION
    behind = now - instant_of("sent_time", request.sent_time)
    return behind if abs(behind) > LIKELY_OFF else _NO_CORRECTION


def _rejected(index: int, error: InvalidInput, kept: Document) -> RejectedEvent:
    cut = f" (kept truncated: {', '.join(kept[_TRUNCATED])})" if _TRUNCATED in kept else ""
    payload = orjson.dumps(kept).decode()
    return RejectedEvent(index, error.field, error.reason, f"{error}{cut}", payload)


def _kept(message: pb.Event, correction: timedelta) -> Document:
    """Return an event as quarantine keeps it: by our clock, and without its user agent."""
    kept, said = pb.Event(), {}
    kept.CopyFrom(message)
    kept.ClearField("user_agent")
    kept.robot = message.robot or is_robot(message.user_agent)
    try:
        if message.HasField("time"):
            kept.time.FromDatetime(instant_of("time", message.time) + correction)
    except (InvalidInput, OverflowError):
        said = {"time": f"{message.time.seconds} s, {message.time.nanos} ns since 1970"}
        kept.ClearField("time")
    document = MessageToDict(kept, preserving_proto_field_name=True) | said
    large = kept.ByteSize() > MOST_KEPT_BYTES or len(orjson.dumps(document)) > MOST_KEPT_BYTES
    return _truncated(document) if large else document


def _truncated(document: Document) -> Document:
    """Return an event with its long texts cut, and their names, so that nobody takes it for whole.

    Its 13 texts then have at most 39 KiB, even where every character is written as an escape.
    """
    cut = {
        name: value[:_CUT_CHARACTERS]
        for name, value in document.items()
        if isinstance(value, str) and len(value) > _CUT_CHARACTERS
    }
    return {**document, **cut, _TRUNCATED: list(cut)}


def _short(told: object) -> str:
    return str(told)[:_MOST_TOLD]


def _event(message: pb.Event, now: datetime, correction: timedelta) -> Event:
    """Return the event of one message, before it is checked as a whole. Raises InvalidInput."""
    kind, channel = TYPES.get(message.type), CHANNELS.get(message.channel)
    if kind is None:
        raise InvalidInput("type", message.type, f"one of {_TYPE_NAMES}")
    if channel is None:
        raise InvalidInput("channel", message.channel, f"one of {', '.join(pb.Channel.keys())}")
    return Event(
        message.event_id,
        kind,
        _event_time(message, now, correction) if message.HasField("time") else now,
        ItemId(message.item_id),
        message.user_id,
        message.visitor_id,
        message.session_id,
        message.quantity or 1.0,
        message.price if message.HasField("price") else None,
        message.currency,
        message.order_id,
        channel,
        message.outlet,
        checked_token(message.attribution_token),
        message.rating if message.HasField("rating") else None,
        message.query,
        message.category,
        message.campaign_id,
        message.robot or is_robot(message.user_agent),
        message.market,
    )


def _event_time(message: pb.Event, now: datetime, correction: timedelta) -> datetime:
    """Return when the event counts: at the time it names, unless that lies ahead of `now`."""
    try:
        time = instant_of("time", message.time) + correction
    except OverflowError as error:
        raise InvalidInput("time", message.time.seconds, "a time that can be corrected") from error
    return counted_time(time, now)
