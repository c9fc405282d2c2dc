"""Google Analytics 4: one document, the events that it stands for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import InvalidInput
from recsys.events import Channel, EventType
from serving.shapes import events_of_ga4, shaped_ga4

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
MICROSECONDS = int(NOON.timestamp()) * 1_000_000
ECOMMERCE = {
    "add_payment_info": None,
    "add_shipping_info": None,
    "add_to_cart": EventType.ADD_TO_CART,
    "add_to_wishlist": EventType.ADD_TO_WISHLIST,
    "begin_checkout": None,
    "purchase": EventType.PURCHASE,
    "refund": EventType.REFUND,
    "remove_from_cart": EventType.REMOVE_FROM_CART,
    "select_item": EventType.CLICK,
    "select_promotion": None,
    "view_cart": EventType.CART_VIEW,
    "view_item": EventType.DETAIL_VIEW,
    "view_item_list": EventType.IMPRESSION,
    "view_promotion": None,
}
"""Every e-commerce event of GA4, and what it is here."""


def row(name: str, **changed: Any) -> dict[str, Any]:
    """Return a row of the BigQuery export, in its JSON form: integers are texts there."""
    return {
        "event_name": name,
        "event_timestamp": str(MICROSECONDS),
        "event_bundle_sequence_id": "7",
        "user_pseudo_id": "123.456",
        "platform": "WEB",
        "event_params": [
            {"key": "ga_session_id", "value": {"int_value": "99"}},
            {"key": "currency", "value": {"string_value": "EUR"}},
        ],
        "items": [
            {"item_id": "tea", "price": 2.5, "quantity": "2"},
            {"item_id": "rye", "price": None, "quantity": None},
        ],
        **changed,
    }


def payload(*events: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """Return a payload of the Measurement Protocol."""
    return {
        "client_id": "123.456",
        "timestamp_micros": MICROSECONDS,
        "events": list(events),
        **changed,
    }


@pytest.mark.parametrize(("name", "kind"), ECOMMERCE.items())
def test_every_ecommerce_name_is_an_event_or_skipped_on_purpose(
    name: str, kind: EventType | None
) -> None:
    shaped = shaped_ga4(row(name))

    assert {event.type for event in shaped.events} == ({kind} if kind else set())
    assert shaped.skipped == (() if kind else (name,))
    assert not shaped.refused


def test_purchase_of_the_export_is_one_event_for_each_item() -> None:
    tea, rye = events_of_ga4(row("purchase", user_id="ann", ecommerce={"transaction_id": "T1"}))

    assert (tea.type, tea.time, tea.channel) == (EventType.PURCHASE, NOON, Channel.WEB)
    assert (tea.user_id, tea.visitor_id, tea.session_id) == ("ann", "123.456", "123.456.99")
    assert (tea.item_id, tea.quantity, tea.price, tea.currency) == ("tea", 2.0, 2.5, "EUR")
    assert (rye.item_id, rye.quantity, rye.price, rye.order_id) == ("rye", 1.0, None, "T1")


def test_purchase_sent_by_the_protocol_is_the_same_event_as_the_exported_one() -> None:
    sent = payload(
        {
            "name": "purchase",
            "params": {
                "transaction_id": "T1",
                "currency": "EUR",
                "session_id": 99,
                "items": [{"item_id": "tea", "price": 2.5, "quantity": 2}, {"item_id": "rye"}],
            },
        },
        user_id="ann",
    )
    exported = row("purchase", user_id="ann", ecommerce={"transaction_id": "T1"})

    assert events_of_ga4(sent) == events_of_ga4(exported)


def test_transaction_told_again_later_is_the_same_purchase() -> None:
    first = row("purchase", ecommerce={"transaction_id": "T1"})
    reloaded = {**first, "event_timestamp": str(MICROSECONDS + 10**9)}

    assert [one.event_id for one in events_of_ga4(reloaded)] == [
        one.event_id for one in events_of_ga4(first)
    ]


@pytest.mark.parametrize(
    "changed",
    [
        {"event_timestamp": str(MICROSECONDS + 1)},
        {"user_pseudo_id": "1.2"},
        {"event_name": "select_item"},
        {"event_bundle_sequence_id": "8"},
        {"batch_event_index": 2},
        {"stream_id": "2"},
    ],
)
def test_events_that_differ_in_what_identifies_them_have_different_ids(
    changed: dict[str, Any],
) -> None:
    one, other = events_of_ga4(row("view_item")), events_of_ga4(row("view_item", **changed))

    assert len({event.event_id for event in (*one, *other)}) == 4


def test_two_equal_events_of_one_payload_are_two() -> None:
    view = {"name": "view_item", "params": {"items": [{"item_id": "tea"}]}}

    events = events_of_ga4(payload(view, view))

    assert len({event.event_id for event in events}) == 2


def test_search_keeps_its_words() -> None:
    params = [{"key": "search_term", "value": {"string_value": "rye bread"}}]

    (event,) = events_of_ga4(row("view_search_results", event_params=params, items=[]))

    assert (event.type, event.query, event.item_id) == (EventType.SEARCH, "rye bread", "")


def test_app_of_the_protocol_is_a_visitor_in_the_app() -> None:
    document = payload({"name": "view_cart"}, client_id=None, app_instance_id="a1")

    (event,) = events_of_ga4(document)

    assert (event.visitor_id, event.channel) == ("a1", Channel.APP)


def test_event_of_the_protocol_has_its_own_time_before_that_of_the_payload() -> None:
    earlier = {"name": "view_cart", "timestamp_micros": MICROSECONDS - 60_000_000}

    assert events_of_ga4(payload(earlier))[0].time == NOON - timedelta(minutes=1)


def test_time_in_milliseconds_by_mistake_is_understood() -> None:
    document = payload({"name": "view_cart"}, timestamp_micros=MICROSECONDS // 1_000)

    assert events_of_ga4(document)[0].time == NOON


def test_payload_without_time_counts_at_the_time_given_and_is_refused_without_one() -> None:
    document = payload({"name": "view_cart"}, timestamp_micros=None)

    assert events_of_ga4(document, now=NOON)[0].time == NOON
    with pytest.raises(InvalidInput, match="timestamp_micros"):
        events_of_ga4(document)


def test_crawler_is_told_by_its_user_agent() -> None:
    (event,) = events_of_ga4(payload({"name": "view_cart"}, user_agent="Googlebot/2.1"))

    assert event.robot


def test_refund_of_a_whole_transaction_says_what_to_send() -> None:
    shaped = shaped_ga4(row("refund", items=[], ecommerce={"transaction_id": "T1"}))

    assert not shaped.events
    assert "one item for each line of the order" in str(shaped.refused[0])


def test_broken_item_is_refused_by_its_path_and_the_others_count() -> None:
    items = [{"item_id": "tea"}, {"item_id": "(not set)"}, {"item_id": "rye", "quantity": "two"}]
    document = payload({"name": "scroll"}, {"name": "add_to_cart", "params": {"items": items}})

    shaped = shaped_ga4(document)

    assert [event.item_id for event in shaped.events] == ["tea"]
    assert [error.field for error in shaped.refused] == [
        "events[1].items[1].item_id",
        "events[1].items[2].quantity",
    ]
    assert shaped.skipped == ("scroll",)


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({}, "event_name"),
        ({"events": []}, "event_name"),
        ({"events": "view_item"}, "events"),
        (row("view_item", user_pseudo_id=None), "user_id"),
        (row("view_item", event_timestamp=None), "event_timestamp"),
        (row("view_item", event_timestamp="soon"), "event_timestamp"),
        (row("view_item", event_timestamp=10**30), "event_timestamp"),
        (row("view_item", items=None), "items"),
        (row("view_item", items="tea"), "items"),
        (row("view_item", event_params={"key": "value"}), "event_params"),
        (row("search", items=None), "query"),
    ],
)
def test_broken_document_is_refused_by_field(document: dict[str, Any], field: str) -> None:
    assert [error.field for error in shaped_ga4(document).refused] == [field]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
KEYS = st.sampled_from([*row("purchase"), *payload(), "name", "params", "ecommerce", "user_id"])


@given(document=st.dictionaries(KEYS, JSON), name=st.sampled_from([*ECOMMERCE, "search"]))
def test_no_document_whatever_it_holds_breaks_the_reading(
    document: dict[str, Any], name: str
) -> None:
    for one in (document, {**row(name), **document, "event_name": name}, payload(document)):
        for event in shaped_ga4(one, now=NOON).events:
            event.check()
