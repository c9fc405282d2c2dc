"""Segment: calls of its Spec, one by one or in a batch, with the e-commerce and e-mail events.

https://segment.com/docs/connections/spec/ecommerce/v2/
https://segment.com/docs/connections/spec/email/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from typing import Any

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
    instant_of_text,
    mapping_of,
    mappings_of,
    number_of,
    somebody,
    text_of,
)

OF_PRODUCT: Mapping[str, EventType] = {
    "product clicked": EventType.CLICK,
    "product viewed": EventType.DETAIL_VIEW,
    "product added": EventType.ADD_TO_CART,
    "product removed": EventType.REMOVE_FROM_CART,
    "product added to wishlist": EventType.ADD_TO_WISHLIST,
    "product removed from wishlist": EventType.REMOVE_FROM_WISHLIST,
    "wishlist product added to cart": EventType.ADD_TO_CART,
    "product reviewed": EventType.RATING,
}
"""Names of events about one product, which is in their properties; in small letters."""

OF_PRODUCTS: Mapping[str, EventType] = {
    "product list viewed": EventType.IMPRESSION,
    "product list filtered": EventType.IMPRESSION,
    "order completed": EventType.PURCHASE,
    "order refunded": EventType.REFUND,
    "order cancelled": EventType.REFUND,
}
"""Names of events with `products`: one event of ours for each."""

OF_VISITS: Mapping[str, EventType] = {
    "products searched": EventType.SEARCH,
    "cart viewed": EventType.CART_VIEW,
}
OF_EMAILS: Mapping[str, EventType] = {
    "email delivered": EventType.EMAIL_SENT,
    "email opened": EventType.EMAIL_OPENED,
    "email link clicked": EventType.EMAIL_CLICKED,
    "email marked as spam": EventType.UNSUBSCRIBE,
    "unsubscribed": EventType.UNSUBSCRIBE,
}
"""Names of events without products: one event of ours."""

_ALONE = {**OF_VISITS, **OF_EMAILS}
_KNOWN = frozenset((*OF_PRODUCT, *OF_PRODUCTS, *_ALONE))
_SAYING_NOTHING = ("identify", "page", "screen", "group", "alias")
_REFUNDS = ("order refunded", "order cancelled")
_LISTED = "product list viewed"
_WITH_PIECES = frozenset(
    {EventType.ADD_TO_CART, EventType.REMOVE_FROM_CART, EventType.PURCHASE, EventType.REFUND}
)
_CHANNELS = {
    "browser": Channel.WEB, "mobile": Channel.APP, "analytics.js": Channel.WEB,
    "analytics-ios": Channel.APP, "analytics-android": Channel.APP, "analytics-swift": Channel.APP,
    "analytics-kotlin": Channel.APP, "analytics-react-native": Channel.APP,
    "@segment/analytics-react-native": Channel.APP, "analytics_flutter": Channel.APP,
}  # fmt: skip
_SHAPE_WANTED = "a call of Segment's Spec with a type, or a batch of them"
_PRODUCTS_WANTED = "at least one product with a product_id or sku"
_REFUND_WANTED = (
    "the products given back, each with product_id and quantity: without them the whole order is "
    "meant, and what was in it is not said here. Send one product for each line of the order"
)


@dataclass(frozen=True, slots=True)
class _Call:
    """One call of Segment. common: what all its events share; places: numbers them."""

    name: str
    common: Event
    properties: Document
    places: count[int]

    def event(self, kind: EventType, **more: Any) -> Event:
        """Return the next event of this call."""
        event_id = f"{self.common.event_id}/{next(self.places)}"
        return replace(self.common, event_id=event_id, type=kind, **more)

    def about(self, kind: EventType, product: Document) -> Event:
        """Return the next event of this call, about a product."""
        pieces = number_of("quantity", product.get("quantity")) if kind in _WITH_PIECES else None
        rated = number_of("rating", product.get("rating")) if kind is EventType.RATING else None
        return self.event(
            kind,
            item_id=ItemId(id_of(product, "product_id") or id_of(product, "sku")),
            quantity=1.0 if pieces is None else pieces,
            price=number_of("price", product.get("price")),
            rating=rated,
        )


def events_of_segment(document: Document, *, now: datetime | None = None) -> list[Event]:
    """Return the events in a call of Segment, or in a batch of calls.

    What means nothing to recommendations is left out. now: the time of a call that names none.
    Raises InvalidInput naming the first field at fault; `shaped_segment` tells of all.
    """
    return shaped_segment(document, now=now).whole()


def shaped_segment(document: Document, *, now: datetime | None = None) -> Shaped:
    """Return what a document of Segment becomes: events, names skipped, and parts refused."""
    if "batch" not in document:
        return _shaped(document, "", now)
    try:
        calls = mappings_of("batch", document["batch"])
    except InvalidInput as error:
        return Shaped(refused=(error,))
    shared = {key: value for key, value in document.items() if key in ("sentAt", "receivedAt")}
    return Shaped.joined(
        _shaped({**shared, **call}, f"batch[{place}]", now) for place, call in enumerate(calls)
    )


def _shaped(call: Document, path: str, now: datetime | None) -> Shaped:
    """Return what one call becomes."""
    kind = text_of(call.get("type")) or ("track" if "event" in call else "")
    said = text_of(call.get("event")) if kind == "track" else kind
    name = " ".join(said.casefold().split())
    if kind == "identify" and mapping_of(call.get("traits")).get("unsubscribed") is True:
        name = "unsubscribed"
    elif kind in _SAYING_NOTHING or (kind == "track" and name not in _KNOWN):
        return Shaped(skipped=(said or "(no name)",))
    shaping = Shaping(path)
    with shaping.taking() as found:
        if kind not in ("track", "identify"):
            raise InvalidInput("type", kind, _SHAPE_WANTED)
        read = _read(name, call, now)
        if name in _ALONE:
            found.append(_alone(read))
        elif name in OF_PRODUCT:
            found.append(read.about(OF_PRODUCT[name], read.properties))
        else:
            _take_products(read, shaping)
    return shaping.done()


def _alone(call: _Call) -> Event:
    """Return the event of a call that is about no product."""
    campaign = id_of(call.properties, "campaign_id") if call.name in OF_EMAILS else ""
    query = text_of(call.properties.get("query")) if call.name == "products searched" else ""
    return call.event(_ALONE[call.name], campaign_id=campaign, query=query)


def _take_products(call: _Call, shaping: Shaping) -> None:
    """Take one event for each product of a call; of a list, the view of its category besides."""
    products = mappings_of("properties.products", call.properties.get("products"))
    category = text_of(call.properties.get("category")) if call.name == _LISTED else ""
    if not products and not category:
        wanted = _REFUND_WANTED if call.name in _REFUNDS else _PRODUCTS_WANTED
        raise InvalidInput("properties.products", [], wanted)
    if category:
        with shaping.taking() as found:
            found.append(call.event(EventType.CATEGORY_VIEW, category=category))
    for place, product in enumerate(products):
        with shaping.taking(f"properties.products[{place}]") as found:
            found.append(call.about(OF_PRODUCTS[call.name], product))


def _read(name: str, call: Document, now: datetime | None) -> _Call:
    """Return a call with what all its events share. Raises InvalidInput."""
    context, properties = mapping_of(call.get("context")), mapping_of(call.get("properties"))
    user_id, visitor_id = (
        id_of(call, "userId"),
        id_of(call, "anonymousId"),
    )
    somebody(user_id, visitor_id)
    common = Event(
        id_of(call, "messageId") or _digest(call),
        EventType.IMPRESSION,
        _time(call, now),
        ItemId(""),
        user_id,
        visitor_id,
        currency=text_of(properties.get("currency")),
        order_id=id_of(properties, "order_id") if name in OF_PRODUCTS else "",
        channel=Channel.EMAIL if name in OF_EMAILS else _channel(call, context),
        attribution_token=text_of(properties.get("attribution_token")),
        robot=is_robot(text_of(context.get("userAgent"))),
    )
    return _Call(name, common, properties, count())


def _digest(call: Document) -> str:
    """Return an id for a call without one: of all it says but when it travelled."""
    said = {name: value for name, value in call.items() if name not in ("sentAt", "receivedAt")}
    return event_id_of("segment", said)


def _channel(call: Document, context: Document) -> Channel:
    library = text_of(mapping_of(context.get("library")).get("name")).lower()
    return _CHANNELS.get(text_of(call.get("channel")).lower()) or _CHANNELS.get(
        library, Channel.UNSPECIFIED
    )


def _time(call: Document, now: datetime | None) -> datetime:
    """Return when a call was made, by Segment's clock as far as that can be told.

    `timestamp` is corrected by Segment already; before that there are only the sender's times.
    """
    if call.get("timestamp"):
        return instant_of_text("timestamp", call["timestamp"])
    names = ("originalTimestamp", "sentAt", "receivedAt")
    made, sent, received = (
        instant_of_text(name, call[name]) if call.get(name) else None for name in names
    )
    if made and sent and received:
        return _corrected(made, sent, received)
    found = made or received or now
    if found is None:
        raise InvalidInput("timestamp", None, "when it was, as ISO 8601 text")
    return found


def _corrected(made: datetime, sent: datetime, received: datetime) -> datetime:
    """Return when a call was made, by the clock that received it. Raises InvalidInput."""
    try:
        return received - (sent - made)
    except OverflowError as error:
        wanted = "a time from which receivedAt - (sentAt - originalTimestamp) is one, too"
        raise InvalidInput("originalTimestamp", made.isoformat(), wanted) from error
