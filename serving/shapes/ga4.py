"""Google Analytics 4: rows of its BigQuery export, and payloads of its Measurement Protocol.

https://support.google.com/analytics/answer/7029846
https://developers.google.com/analytics/devguides/collection/protocol/ga4/reference
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from recsys.errors import InvalidInput
from recsys.events import Channel, Event, EventType
from recsys.ids import ItemId
from serving.api.user_agents import is_robot
from serving.shapes.shaped import (
    Document,
    Shaped,
    Shaping,
    event_id_of,
    id_of,
    instant_of_count,
    mapping_of,
    mappings_of,
    number_of,
    somebody,
    text_of,
)

OF_ITEMS: Mapping[str, EventType] = {
    "view_item_list": EventType.IMPRESSION,
    "select_item": EventType.CLICK,
    "view_item": EventType.DETAIL_VIEW,
    "add_to_cart": EventType.ADD_TO_CART,
    "remove_from_cart": EventType.REMOVE_FROM_CART,
    "add_to_wishlist": EventType.ADD_TO_WISHLIST,
    "purchase": EventType.PURCHASE,
    "refund": EventType.REFUND,
}
"""Names of events about items: one event of ours for each item."""

OF_VISITS: Mapping[str, EventType] = {
    "view_cart": EventType.CART_VIEW,
    "search": EventType.SEARCH,
    "view_search_results": EventType.SEARCH,
}
"""Names of events without items: one event of ours."""

_WITH_PIECES = ("add_to_cart", "remove_from_cart", "purchase", "refund")
_ORDERS = ("purchase", "refund")
_CHANNELS = {"WEB": Channel.WEB, "IOS": Channel.APP, "ANDROID": Channel.APP}
_VALUES = ("string_value", "int_value", "float_value", "double_value")
_IDENTITY = (
    "event_name", "event_timestamp", "stream_id", "event_bundle_sequence_id",
    "batch_page_id", "batch_ordering_id", "batch_event_index",
)  # fmt: skip
_SHAPE_WANTED = (
    "event_name, as in a row of GA4's BigQuery export, or events, as in a payload of its "
    "Measurement Protocol"
)
_ITEMS_WANTED = "at least one item with an item_id"
_REFUND_WANTED = (
    "the items given back, each with item_id and quantity: without items GA4 means the whole "
    "transaction, and what was in it is not said here. Send one item for each line of the order"
)


@dataclass(frozen=True, slots=True)
class _Hit:
    """One event of GA4, whichever way it came. identity: what tells it from every other."""

    name: str
    time: datetime
    user_id: str
    visitor_id: str
    params: Document
    items: list[Document]
    order_id: str
    channel: Channel
    robot: bool
    identity: tuple[object, ...]

    @property
    def session_id(self) -> str:
        """The visitor's session: GA4 gives several visitors the same number."""
        number = text_of(self.params.get("ga_session_id", self.params.get("session_id")))
        return f"{self.visitor_id}.{number}" if number and self.visitor_id else number

    def event_id(self, place: int, item_id: str = "") -> str:
        """Return the id of the event about the item at this place.

        A purchase is named by its transaction, as in GA4: a thank-you page that is loaded again
        buys nothing.
        """
        if self.name == "purchase" and self.order_id:
            who = self.visitor_id or self.user_id
            return event_id_of("ga4", self.name, who, self.order_id, place, item_id)
        return event_id_of("ga4", *self.identity, place, item_id)


def events_of_ga4(document: Document, *, now: datetime | None = None) -> list[Event]:
    """Return the events in a row of the BigQuery export or a Measurement Protocol payload.

    What means nothing to recommendations is left out. now: the time of a payload that names none.
    Raises InvalidInput naming the first field at fault; `shaped_ga4` tells of all.
    """
    return shaped_ga4(document, now=now).whole()


def shaped_ga4(document: Document, *, now: datetime | None = None) -> Shaped:
    """Return what a document of GA4 becomes: events, names skipped, and parts refused."""
    if "event_name" in document:
        return _shaped(text_of(document["event_name"]), "", partial(_of_export, document))
    try:
        events = mappings_of("events", document.get("events"))
        if not events:
            raise InvalidInput("event_name", None, _SHAPE_WANTED)
    except InvalidInput as error:
        return Shaped(refused=(error,))
    return Shaped.joined(_of_payload(document, events, now))


def _of_payload(
    payload: Document, events: list[Document], now: datetime | None
) -> Iterator[Shaped]:
    for place, event in enumerate(events):
        read = partial(_of_protocol, payload, place, now)
        yield _shaped(text_of(event.get("name")), f"events[{place}]", read)


def _shaped(name: str, path: str, read: Callable[[], _Hit]) -> Shaped:
    """Return what one event of GA4 becomes. read: reads the rest of it, if it means anything."""
    if name not in OF_ITEMS and name not in OF_VISITS:
        return Shaped(skipped=(name or "(no name)",))
    shaping = Shaping(path)
    with shaping.taking() as found:
        hit = read()
        if name in OF_VISITS:
            found.append(_of_visit(hit))
        elif not hit.items:
            wanted = _REFUND_WANTED if name == "refund" else _ITEMS_WANTED
            raise InvalidInput("items", [], wanted)
        for place, item in enumerate(hit.items if name in OF_ITEMS else ()):
            with shaping.taking(f"items[{place}]") as about:
                about.append(_of_item(hit, place, item))
    return shaping.done()


def _of_visit(hit: _Hit) -> Event:
    return Event(
        hit.event_id(0),
        OF_VISITS[hit.name],
        hit.time,
        ItemId(""),
        hit.user_id,
        hit.visitor_id,
        hit.session_id,
        query=text_of(hit.params.get("search_term")),
        channel=hit.channel,
        robot=hit.robot,
    )


def _of_item(hit: _Hit, place: int, item: Document) -> Event:
    item_id = id_of(item, "item_id")
    pieces = number_of("quantity", item.get("quantity")) if hit.name in _WITH_PIECES else None
    return Event(
        hit.event_id(place, item_id),
        OF_ITEMS[hit.name],
        hit.time,
        ItemId(item_id),
        hit.user_id,
        hit.visitor_id,
        hit.session_id,
        1.0 if pieces is None else pieces,
        number_of("price", item.get("price")),
        text_of(hit.params.get("currency")),
        hit.order_id if hit.name in _ORDERS else "",
        hit.channel,
        attribution_token=text_of(hit.params.get("attribution_token")),
        robot=hit.robot,
    )


def _of_export(row: Document) -> _Hit:
    """Return the event in a row of the BigQuery export."""
    params = {
        text_of(param.get("key")): _value(param)
        for param in mappings_of("event_params", row.get("event_params"))
    }
    ecommerce = mapping_of(row.get("ecommerce"))
    visitor_id = id_of(row, "user_pseudo_id")
    user_id = id_of(row, "user_id")
    somebody(user_id, visitor_id)
    return _Hit(
        name=text_of(row["event_name"]),
        time=instant_of_count("event_timestamp", row.get("event_timestamp")),
        user_id=user_id,
        visitor_id=visitor_id,
        params=params,
        items=mappings_of("items", row.get("items")),
        order_id=id_of(ecommerce, "transaction_id") or id_of(params, "transaction_id"),
        channel=_CHANNELS.get(text_of(row.get("platform")).upper(), Channel.UNSPECIFIED),
        robot=False,
        identity=(visitor_id or user_id, *(text_of(row.get(key)) for key in _IDENTITY)),
    )


def _value(param: Document) -> object:
    """Return the one value that a parameter of the export has, whatever its type."""
    values = mapping_of(param.get("value"))
    return next((values[name] for name in _VALUES if values.get(name) is not None), None)


def _of_protocol(payload: Document, place: int, now: datetime | None) -> _Hit:
    """Return the event at this place of a Measurement Protocol payload."""
    event = payload["events"][place]
    params = mapping_of(event.get("params"))
    stamp = event.get("timestamp_micros", payload.get("timestamp_micros"))
    if stamp is None and now is None:
        raise InvalidInput("timestamp_micros", None, "when it was, in microseconds since 1970")
    user_id, client_id = (
        id_of(payload, "user_id"),
        id_of(payload, "client_id"),
    )
    visitor_id = client_id or id_of(payload, "app_instance_id")
    somebody(user_id, visitor_id)
    name = text_of(event.get("name"))
    return _Hit(
        name=name,
        time=now if stamp is None and now else instant_of_count("timestamp_micros", stamp),
        user_id=user_id,
        visitor_id=visitor_id,
        params=params,
        items=mappings_of("params.items", params.get("items")),
        order_id=id_of(params, "transaction_id"),
        channel=Channel.WEB if client_id else Channel.APP,
        robot=is_robot(text_of(payload.get("user_agent"))),
        identity=(visitor_id or user_id, name, stamp or now, place),
    )
