"""What events add up to: one row a customer, worked out by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from recsys.errors import Unavailable
from recsys.events import Channel, Event, EventType, Position
from recsys.robots import RobotRule
from serving.lake import schema
from serving.lake.customers import parts_of
from serving.lake.keeping import Keeping
from serving.lake.lake import Drawn
from serving.lake.spill import PREFIX
from tests.serving.lake.drained import DAY, NOON, House, event, house

RULE = RobotRule()
BOUGHT, BACK = EventType.PURCHASE, EventType.REFUND


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path) as opened:
        yield opened


def customers(shop: House, *events: Event, rule: RobotRule | None = RULE) -> dict[str, Any]:
    """Return the rows of the customers table after these events, by customer."""
    shop.drain(*events)
    shop.lake.write_customers(rule)
    rows = shop.table("customers").to_pylist()
    return {f"{row['kind']} {row['customer_id']}": row for row in rows}


def ann(shop: House, *events: Event) -> dict[str, Any]:
    row: dict[str, Any] = customers(shop, *events)["user ann"]
    return row


def test_each_customer_has_one_row_under_the_first_id_an_event_names(shop: House) -> None:
    rows = customers(
        shop,
        event("1", visitor_id="v", session_id="s"),
        event("2", user_id="", visitor_id="v", session_id="s"),
        event("3", user_id="", session_id="s"),
        event("4", user_id="v"),
    )

    assert sorted(rows) == ["session s", "user ann", "user v", "visitor v"]
    assert {row["position"] for row in rows.values()} == {4}


def test_first_and_last_are_by_the_time_of_the_events(shop: House) -> None:
    row = ann(
        shop,
        event("1", time=NOON),
        event("2", EventType.SEARCH, item_id="", query="rye", time=NOON + DAY),
        event("3", time=NOON - 2 * DAY),
        event("4", EventType.CLICK, time=NOON - 3 * DAY),
    )

    found = [row[name] for name in ("first_seen", "first_order", "last_order", "last_seen")]
    assert found == [NOON - 3 * DAY, NOON - 2 * DAY, NOON, NOON + DAY]


def test_a_time_of_a_wrong_clock_counts_as_received(shop: House) -> None:
    row = ann(shop, event("1", time=NOON + 500 * DAY), event("2", time=NOON + DAY))

    assert (row["first_seen"], row["last_seen"]) == (NOON, NOON + DAY)


def test_orders_are_their_ids_and_days_with_purchases_that_have_none(shop: House) -> None:
    row = ann(
        shop,
        event("1", order_id="o1"),
        event("2", order_id="o1", time=NOON + DAY, item_id="milk"),
        event("3", order_id="o2"),
        event("4", time=NOON - 2 * DAY),
        event("5", time=NOON - 2 * DAY + timedelta(hours=1)),
        event("6", time=NOON - 3 * DAY),
        event("7", BACK, order_id="o3"),
    )

    assert (row["orders"], row["purchases"], row["refunds"]) == (4, 6, 1)


def test_pieces_and_money_are_less_what_was_given_back(shop: House) -> None:
    row = ann(
        shop,
        event("1", quantity=3.0, price=2.0, currency="EUR"),
        event("2", quantity=1.0, price=10.0, currency="EUR", item_id="oil"),
        event("3", BACK, quantity=2.0, price=2.0, currency="EUR", time=NOON + DAY),
    )

    assert (row["pieces"], row["refunded_pieces"]) == (2.0, 2.0)
    assert (row["spent"], row["currency"]) == (12.0, "EUR")


def test_a_refund_without_a_price_has_that_of_the_purchases(shop: House) -> None:
    row = ann(
        shop,
        event("1", price=2.0, currency="EUR"),
        event("2", price=4.0, currency="EUR"),
        event("3", price=9.0, currency="EUR", item_id="oil"),
        event("4", BACK, time=NOON + DAY),
    )

    assert row["spent"] == 2.0 + 4.0 + 9.0 - 3.0


def test_a_refund_of_what_the_lake_does_not_know_makes_nothing_negative(shop: House) -> None:
    row = ann(shop, event("1", BACK, quantity=5.0, price=2.0, currency="EUR"))

    assert (row["pieces"], row["refunded_pieces"], row["spent"]) == (0.0, 5.0, 0.0)


def test_money_is_in_the_currency_of_most_purchases(shop: House) -> None:
    row = ann(
        shop,
        event("1", price=100.0, currency="USD"),
        event("2", price=2.0, currency="EUR"),
        event("3", price=3.0, currency="EUR"),
    )

    assert (row["spent"], row["currency"]) == (5.0, "EUR")


def test_without_any_price_nothing_is_said_of_money(shop: House) -> None:
    row = ann(shop, event("1"), event("2", EventType.CLICK))

    assert (row["spent"], row["currency"]) == (None, "")


def test_events_are_counted_by_type(shop: House) -> None:
    kinds = {
        EventType.IMPRESSION: "impressions",
        EventType.CLICK: "clicks",
        EventType.DETAIL_VIEW: "detail_views",
        EventType.SEARCH: "searches",
        EventType.ADD_TO_CART: "cart_additions",
        EventType.ADD_TO_WISHLIST: "wishlist_additions",
        EventType.PURCHASE: "purchases",
        EventType.REFUND: "refunds",
        EventType.RATING: "ratings",
    }
    events = [
        event(f"{kind}{n}", kind, rating=4.0 if kind is EventType.RATING else None)
        for number, kind in enumerate(kinds, start=1)
        for n in range(number)
    ]

    row = ann(shop, *events, event("other", EventType.LIKE))

    assert [row[name] for name in kinds.values()] == list(range(1, 10))
    assert row["events"] == 46


def test_the_favourite_channel_is_that_of_most_actions(shop: House) -> None:
    sent = [event(f"m{n}", EventType.EMAIL_SENT, channel=Channel.EMAIL) for n in range(5)]
    row = ann(
        shop,
        *sent,
        event("1", channel=Channel.STORE),
        event("2", EventType.CLICK, channel=Channel.APP),
        event("3", channel=Channel.STORE),
        event("4"),
    )

    assert row["channel"] == "store"


def test_what_came_of_e_mails_is_told_by_the_last_of_each(shop: House) -> None:
    kinds = {
        EventType.EMAIL_SENT: "last_email_sent",
        EventType.EMAIL_OPENED: "last_email_opened",
        EventType.EMAIL_CLICKED: "last_email_clicked",
        EventType.UNSUBSCRIBE: "unsubscribed_at",
    }
    events = [
        event(f"{kind}{days}", kind, item_id="", time=NOON - (days + number) * DAY)
        for number, kind in enumerate(kinds)
        for days in (0, 30)
    ]

    row = ann(shop, *events)

    assert [row[name] for name in kinds.values()] == [NOON - n * DAY for n in range(4)]


def test_an_event_id_that_stands_twice_counts_once(shop: House) -> None:
    shop.drain(event("1", quantity=2.0))
    again = shop.table("events").select(schema.EVENTS.names)
    again = again.set_column(0, schema.EVENTS.field("position"), pa.array([9], pa.int64()))
    items, numbers, facts = (
        other.empty_table() for other in (schema.ITEMS, schema.VOCABULARY, schema.CUSTOMER_FACTS)
    )
    shop.lake.append(Drawn(again, items, numbers, facts, Position(9)))

    row = ann(shop)

    assert shop.table("events").num_rows == 2
    assert (row["events"], row["pieces"], row["position"]) == (1, 2.0, 9)


def hurried(user: str, n: int) -> list[Event]:
    return [
        event(f"{user}{s}", EventType.CLICK, user_id=user, time=NOON + timedelta(seconds=s))
        for s in range(n)
    ]


def test_robots_have_no_row_and_get_one_when_the_rule_changes(shop: House) -> None:
    events = [
        *hurried("fast", 6),
        *hurried("slow", 5),
        event("crawl 1", EventType.CLICK, user_id="crawler", robot=True),
        event("crawl 2", EventType.CLICK, user_id="crawler", robot=True),
        event("crawl 3", EventType.CLICK, user_id="crawler"),
    ]

    strict = customers(shop, *events, rule=RobotRule(a_minute=5))
    mild = customers(shop, event("more"), rule=RobotRule())
    none = customers(shop, event("yet more"), rule=None)

    assert sorted(strict) == ["user slow"]
    assert sorted(mild) == ["user ann", "user fast", "user slow"]
    assert sorted(none) == ["user ann", "user crawler", "user fast", "user slow"]


def test_what_a_robot_did_under_a_customers_id_does_not_count(shop: House) -> None:
    scan = event("scan", EventType.EMAIL_CLICKED, item_id="", robot=True, time=NOON + DAY)

    row = ann(shop, event("1"), event("2"), scan)

    assert (row["events"], row["last_email_clicked"]) == (2, None)


def test_the_same_events_and_rule_are_not_written_again(shop: House) -> None:
    shop.drain(event("1"))

    written = [
        shop.lake.write_customers(RULE),
        shop.lake.write_customers(RULE),
        shop.lake.write_customers(None),
    ]
    version = shop.lake.versions()["customers"]
    shop.drain(event("2"))
    written += [shop.lake.write_customers(None)]

    assert written == [True, False, True, True]
    assert shop.lake.versions()["customers"] == version + 1
    assert shop.table("customers").num_rows == 1


def test_what_was_written_does_not_depend_on_how_the_files_lie(shop: House) -> None:
    shop.drain(event("1", price=1.1, currency="EUR"), event("2", user_id="bob"))
    before = customers(shop, event("3", time=NOON + DAY))

    shop.tidy(Keeping())
    shop.lake.write_customers(RULE)

    assert customers(shop) == before
    assert list(shop.folder.glob(f"{PREFIX}*")) == []


def test_a_lake_without_events_has_no_customers(shop: House) -> None:
    assert shop.lake.write_customers(RULE)

    assert shop.table("customers").num_rows == 0


def test_a_stopped_lake_writes_no_customers(shop: House) -> None:
    shop.drain(event("1"))
    shop.lake.stop()

    with pytest.raises(Unavailable):
        shop.lake.write_customers(RULE)

    assert DeltaTable(shop.lake.customers).version() == 0


def test_no_customer_is_in_two_parts() -> None:
    batches = [
        pa.RecordBatch.from_pydict({"who": list(names)}) for names in ("aab", "bbb", "bcc", "cd")
    ]

    parts = ["".join(part["who"].to_pylist()) for part in parts_of(batches, 3)]

    assert parts == ["aabbbbb", "cccd"]
