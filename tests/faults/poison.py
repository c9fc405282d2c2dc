"""Events that no shop should send, one for each way in which an event can be wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from protos.recsys.v1 import event_service_pb2 as pb

Spoil = Callable[[pb.Event], None]


def _setting(**fields: object) -> Spoil:
    """Return what sets these fields."""

    def spoil(message: pb.Event) -> None:
        for name, value in fields.items():
            setattr(message, name, value)

    return spoil


def _clearing(*names: str) -> Spoil:
    """Return what clears these fields."""

    def spoil(message: pb.Event) -> None:
        for name in names:
            message.ClearField(name)  # type: ignore[arg-type] # its stub knows literals only

    return spoil


def _timed(seconds: int, nanos: int = 0) -> Spoil:
    """Return what sets the time, also to what is none."""

    def spoil(message: pb.Event) -> None:
        message.time.seconds, message.time.nanos = seconds, nanos

    return spoil


POISON: Mapping[str, Spoil] = {
    "no id": _clearing("event_id"),
    "id too long": _setting(event_id="x" * 1_000),
    "id of a line break": _setting(event_id="a\nb"),
    "id of nothing visible": _setting(event_id="\x00"),
    "id turned round": _setting(event_id="\u202eevent"),
    "no item": _clearing("item_id"),
    "item too long": _setting(item_id="\u00e4" * 100),
    "item of a tab": _setting(item_id="a\tb"),
    "item of a NUL": _setting(item_id="a\x00b"),
    "nobody": _clearing("user_id", "visitor_id", "session_id"),
    "user too long": _setting(user_id="u" * 1_000),
    "user of a NUL": _setting(user_id="\x00"),
    "visitor too long": _setting(visitor_id="v" * 1_000),
    "session of a line break": _setting(session_id="\r\n"),
    "no type": _setting(type=pb.EVENT_TYPE_UNSPECIFIED),
    "type never heard of": _setting(type=999),
    "type below zero": _setting(type=-1),
    "channel never heard of": _setting(channel=999),
    "quantity below zero": _setting(quantity=-1.0),
    "quantity without end": _setting(quantity=float("inf")),
    "quantity that is no number": _setting(quantity=float("nan")),
    "quantity of a thousand million": _setting(quantity=1e9),
    "price below zero": _setting(price=-0.01),
    "price without end": _setting(price=float("inf")),
    "price that is no number": _setting(price=float("nan")),
    "currency too long": _setting(currency="E" * 1_000),
    "order too long": _setting(order_id="o" * 1_000),
    "order of a NUL": _setting(order_id="\x00"),
    "outlet too long": _setting(outlet="o" * 1_000),
    "market too long": _setting(market="m" * 1_000),
    "campaign too long": _setting(campaign_id="c" * 1_000),
    "token too long": _setting(attribution_token="t" * 100_000),
    "token of a NUL": _setting(attribution_token="\x00"),
    "search for too much": _setting(type=pb.EVENT_TYPE_SEARCH, query="q" * 100_000),
    "search for nothing": _setting(type=pb.EVENT_TYPE_SEARCH, query=""),
    "category too long": _setting(type=pb.EVENT_TYPE_CATEGORY_VIEW, category="c" * 100_000),
    "rating of nothing": _setting(type=pb.EVENT_TYPE_RATING),
    "rating of six": _setting(type=pb.EVENT_TYPE_RATING, rating=6.0),
    "rating that is no number": _setting(type=pb.EVENT_TYPE_RATING, rating=float("nan")),
    "view that rates": _setting(rating=5.0),
    "time of 2099": _timed(4_070_908_800),
    "time of 1900": _timed(-2_208_988_800),
    "time beyond the calendar": _timed(2**62),
    "time before the calendar": _timed(-(2**62)),
    "time of too many nanoseconds": _timed(1_772_366_400, 2_000_000_000),
}
