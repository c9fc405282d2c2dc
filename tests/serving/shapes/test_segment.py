"""Segment: one call or a batch, the events that it stands for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import InvalidInput
from recsys.events import Channel, EventType
from serving.shapes import events_of_segment, shaped_segment

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
FIRST, LAST = "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"
"""The first and the last instant that Python knows."""
SPEC = {
    "Products Searched": EventType.SEARCH,
    "Product List Viewed": EventType.IMPRESSION,
    "Product List Filtered": EventType.IMPRESSION,
    "Promotion Viewed": None,
    "Promotion Clicked": None,
    "Product Clicked": EventType.CLICK,
    "Product Viewed": EventType.DETAIL_VIEW,
    "Product Added": EventType.ADD_TO_CART,
    "Product Removed": EventType.REMOVE_FROM_CART,
    "Cart Viewed": EventType.CART_VIEW,
    "Checkout Started": None,
    "Checkout Step Viewed": None,
    "Checkout Step Completed": None,
    "Payment Info Entered": None,
    "Order Completed": EventType.PURCHASE,
    "Order Updated": None,
    "Order Refunded": EventType.REFUND,
    "Order Cancelled": EventType.REFUND,
    "Coupon Entered": None,
    "Coupon Applied": None,
    "Coupon Denied": None,
    "Coupon Removed": None,
    "Product Added to Wishlist": EventType.ADD_TO_WISHLIST,
    "Product Removed from Wishlist": EventType.REMOVE_FROM_WISHLIST,
    "Wishlist Product Added to Cart": EventType.ADD_TO_CART,
    "Product Shared": None,
    "Cart Shared": None,
    "Product Reviewed": EventType.RATING,
    "Email Bounced": None,
    "Email Delivered": EventType.EMAIL_SENT,
    "Email Link Clicked": EventType.EMAIL_CLICKED,
    "Email Marked as Spam": EventType.UNSUBSCRIBE,
    "Email Opened": EventType.EMAIL_OPENED,
    "Unsubscribed": EventType.UNSUBSCRIBE,
}
"""Every event of the e-commerce spec v2 and of the e-mail spec, and what it is here."""

PRODUCTS = [
    {"product_id": "tea", "price": 2.5, "quantity": 2},
    {"sku": "rye", "price": "1.20"},
]


def track(name: str, properties: dict[str, Any] | None = None, **changed: Any) -> dict[str, Any]:
    return {
        "type": "track",
        "event": name,
        "messageId": "m1",
        "userId": "ann",
        "anonymousId": "v1",
        "timestamp": "2024-05-01T12:00:00.000Z",
        "properties": properties if properties is not None else {"products": PRODUCTS},
        **changed,
    }


EVERYTHING = {
    "products": PRODUCTS, "product_id": "tea", "query": "rye", "rating": 4, "order_id": "o1",
    "currency": "EUR", "campaign_id": "spring",
}  # fmt: skip


@pytest.mark.parametrize(("name", "kind"), SPEC.items())
def test_every_name_of_the_spec_is_an_event_or_skipped_on_purpose(
    name: str, kind: EventType | None
) -> None:
    shaped = shaped_segment(track(name, EVERYTHING))

    assert {event.type for event in shaped.events} == ({kind} if kind else set())
    assert shaped.skipped == (() if kind else (name,))
    assert not shaped.refused


def test_order_is_one_event_for_each_product() -> None:
    tea, rye = events_of_segment(track("Order Completed", EVERYTHING))

    assert (tea.event_id, rye.event_id) == ("m1/0", "m1/1")
    assert (tea.user_id, tea.visitor_id, tea.time) == ("ann", "v1", NOON)
    assert (tea.item_id, tea.quantity, tea.price) == ("tea", 2.0, 2.5)
    assert (rye.item_id, rye.quantity, rye.price) == ("rye", 1.0, 1.2)
    assert (rye.order_id, rye.currency) == ("o1", "EUR")


def test_list_with_a_category_is_also_a_view_of_the_category() -> None:
    viewed, *shown = events_of_segment(
        track("Product List Viewed", {"category": "Tea", "products": PRODUCTS})
    )

    assert (viewed.type, viewed.category, viewed.item_id) == (EventType.CATEGORY_VIEW, "Tea", "")
    assert [event.type for event in shown] == [EventType.IMPRESSION] * 2
    assert len({event.event_id for event in (viewed, *shown)}) == 3


def test_call_without_a_message_id_gets_one_of_what_it_says() -> None:
    first = track("Cart Viewed", messageId=None, sentAt="2024-05-01T12:00:01Z")
    resent = {**first, "sentAt": "2024-05-01T13:00:00Z"}
    other = {**first, "userId": "ben"}

    ids = [events_of_segment(call)[0].event_id for call in (first, resent, other)]

    assert ids[0] == ids[1] != ids[2]


def test_batch_is_all_its_calls() -> None:
    calls = [track("Cart Viewed"), {"type": "page"}, track("Unsubscribed", messageId="m2")]

    shaped = shaped_segment({"batch": calls, "sentAt": "2024-05-01T12:00:00Z"})

    assert [event.type for event in shaped.events] == [EventType.CART_VIEW, EventType.UNSUBSCRIBE]
    assert shaped.skipped == ("page",)


@pytest.mark.parametrize(
    ("call", "channel"),
    [
        (track("Cart Viewed"), Channel.UNSPECIFIED),
        (track("Cart Viewed", channel="browser"), Channel.WEB),
        (track("Cart Viewed", channel="mobile"), Channel.APP),
        (track("Cart Viewed", channel="server"), Channel.UNSPECIFIED),
        (track("Cart Viewed", context={"library": {"name": "analytics.js"}}), Channel.WEB),
        (track("Cart Viewed", context={"library": {"name": "analytics-ios"}}), Channel.APP),
        (track("Email Opened", channel="server"), Channel.EMAIL),
    ],
)
def test_channel_is_told_by_where_the_call_was_made(call: dict[str, Any], channel: Channel) -> None:
    assert events_of_segment(call)[0].channel is channel


def test_email_keeps_its_campaign() -> None:
    assert events_of_segment(track("Email Opened", EVERYTHING))[0].campaign_id == "spring"


def test_crawler_is_told_by_its_user_agent() -> None:
    call = track("Cart Viewed", context={"userAgent": "Googlebot/2.1"})

    assert events_of_segment(call)[0].robot


@pytest.mark.parametrize(
    ("times", "minutes"),
    [
        ({"timestamp": "2024-05-01T12:05:00+00:00", "originalTimestamp": "2001-01-01"}, 5),
        ({"timestamp": "2024-05-01T14:05:00+02:00"}, 5),
        (
            {
                "timestamp": None,
                "originalTimestamp": "2001-01-01T00:00:00Z",
                "sentAt": "2001-01-01T00:10:00Z",
                "receivedAt": "2024-05-01T12:00:00Z",
            },
            -10,
        ),
        ({"timestamp": None, "originalTimestamp": "2024-05-01T12:01:00Z"}, 1),
        ({"timestamp": None, "receivedAt": "2024-05-01T12:02:00Z"}, 2),
        ({"timestamp": None}, 0),
    ],
)
def test_time_is_by_the_most_trustworthy_clock(times: dict[str, Any], minutes: int) -> None:
    (event,) = events_of_segment(track("Cart Viewed", **times), now=NOON)

    assert event.time == NOON + timedelta(minutes=minutes)


@pytest.mark.parametrize(("one", "others"), [(FIRST, LAST), (LAST, FIRST)])
@pytest.mark.parametrize("name", ["originalTimestamp", "sentAt", "receivedAt", "timestamp"])
def test_time_beyond_every_calendar_is_refused(name: str, one: str, others: str) -> None:
    names = ("originalTimestamp", "sentAt", "receivedAt")
    times: dict[str, Any] = dict.fromkeys(names, others) | {name: one}

    shaped = shaped_segment(track("Cart Viewed", **{"timestamp": None, **times}), now=NOON)

    assert not shaped.events
    assert [error.field in (*names, "time") for error in shaped.refused] == [True]


def test_identify_that_unsubscribes_counts_and_any_other_is_skipped() -> None:
    said = {"type": "identify", "messageId": "m1", "userId": "ann", "timestamp": "2024-05-01"}

    (event,) = events_of_segment({**said, "traits": {"unsubscribed": True}})

    assert event.type is EventType.UNSUBSCRIBE
    assert shaped_segment({**said, "traits": {"unsubscribed": "no"}}).skipped == ("identify",)


@pytest.mark.parametrize("name", ["Order Refunded", "Order Cancelled"])
def test_refund_of_a_whole_order_says_what_to_send(name: str) -> None:
    shaped = shaped_segment(track(name, {"order_id": "o1"}))

    assert not shaped.events
    assert "one product for each line of the order" in str(shaped.refused[0])


@pytest.mark.parametrize(
    ("call", "field"),
    [
        ({}, "type"),
        ({"type": "tracks"}, "type"),
        ({"batch": {}}, "batch"),
        (track("Cart Viewed", userId="", anonymousId=None), "user_id"),
        (track("Cart Viewed", timestamp="yesterday"), "timestamp"),
        (track("Cart Viewed", timestamp=None), "timestamp"),
        (track("Products Searched", {}), "query"),
        (track("Product Viewed", {}), "item_id"),
        (track("Product Reviewed", {"product_id": "tea", "rating": 9}), "rating"),
        (track("Order Completed", {}), "properties.products"),
        (track("Order Completed", {"products": [{}]}), "properties.products[0].item_id"),
        ({"batch": [track("Product Viewed", {})]}, "batch[0].item_id"),
    ],
)
def test_broken_call_is_refused_by_field(call: dict[str, Any], field: str) -> None:
    assert [error.field for error in shaped_segment(call).refused] == [field]


def test_client_hears_of_a_broken_part_before_anything_is_sent() -> None:
    with pytest.raises(InvalidInput, match=r"products\[1\]"):
        events_of_segment(track("Order Completed", {"products": [{"sku": "tea"}, {}]}))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
KEYS = st.sampled_from([*track(""), "context", "traits", "batch", "sentAt", "receivedAt"])


@given(document=st.dictionaries(KEYS, JSON), name=st.sampled_from([*SPEC]))
def test_no_document_whatever_it_holds_breaks_the_reading(
    document: dict[str, Any], name: str
) -> None:
    for one in (document, {**track(name, EVERYTHING), **document}, {"batch": [document]}):
        for event in shaped_segment(one, now=NOON).events:
            event.check()


def test_call_without_an_id_may_hold_any_number() -> None:
    calls = [track("Cart Viewed", messageId=None, count=2**number) for number in (65, 66)]

    ids = {events_of_segment(call, now=NOON)[0].event_id for call in calls}

    assert len(ids) == 2
