"""Customers as the clients ask for them and change them, over a real log and a real store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import grpc
import pytest

from protos.recsys.v1 import customer_service_pb2 as pb
from protos.recsys.v1 import customer_service_pb2_grpc as pb_grpc
from recsys.customers import (
    ConsentChange,
    ConsentStatement,
    CustomerChange,
    Identifier,
    IdKind,
    Purpose,
)
from recsys.errors import InvalidInput, Unavailable
from recsys.events import Event, EventType, Position
from recsys.ids import ItemId
from recsys.items import Item
from serving.api.customer_client_codec import CustomerItem, KnownCustomer, decode_customer
from serving.api.customer_servicer import CustomerServicer
from serving.api.interceptors import StatusInterceptor
from serving.client import Client, RecsysClient
from serving.clock import utc_now
from serving.customers import FoundCustomer
from serving.log.customer_register import CustomersChanged
from serving.metrics import CallMetrics, Registry
from tests.serving.desk import Desk

ANNA = Identifier(IdKind.USER, "anna")
PHONE = Identifier(IdKind.VISITOR, "phone")
MAIL = Identifier.of_email("Anna@Example.org ")
NOW = utc_now().replace(microsecond=0)
NOT_ASKED: Any = None


def did(kind: EventType, item: str, *, hours: int = 1) -> Event:
    time = NOW - timedelta(hours=hours)
    return Event(f"{kind}-{item}", kind, time, ItemId(item), user_id=ANNA.value, quantity=2.0)


def said(purpose: Purpose, *, granted: bool, time: datetime = NOW) -> ConsentChange:
    return ConsentChange(ANNA, ConsentStatement(purpose, granted, time, "form"))


async def test_customer_of_whom_nothing_is_known_has_the_identifier_and_the_defaults(
    client: Client,
) -> None:
    found = await client.get_customer(ANNA)

    assert found.identifiers == (ANNA,)
    assert [(one.purpose, one.granted, one.statement) for one in found.consents] == [
        (Purpose.PERSONALISE, True, None),
        (Purpose.TRAIN, True, None),
        (Purpose.EMAIL, False, None),
    ]
    assert (found.first_seen, found.last_seen, found.purchases) == (None, None, ())


async def test_customer_is_found_under_what_is_linked_with_all_that_was_done(
    desk: Desk, client: Client
) -> None:
    await desk.describe(Item(ItemId("tea"), title="Green tea"))
    await desk.did(
        did(EventType.PURCHASE, "tea", hours=5),
        did(EventType.DETAIL_VIEW, "tea", hours=4),
        did(EventType.ADD_TO_CART, "tea", hours=3),
        did(EventType.IMPRESSION, "tea", hours=2),
        did(EventType.EMAIL_OPENED, ""),
    )
    await client.link_identifiers([(ANNA, PHONE), (PHONE, MAIL)])

    found = await client.get_customer(MAIL)

    bought = CustomerItem("tea", "Green tea", NOW - timedelta(hours=5), 2)
    assert found.identifiers == (MAIL, ANNA, PHONE)
    assert found.purchases == (bought,)
    assert [found.views[0].title, found.cart[0].quantity, found.shown[0].item_id] == [
        "Green tea", 2, "tea",
    ]  # fmt: skip
    assert [(one.step, one.item.item_id) for one in found.mails] == [(EventType.EMAIL_OPENED, "")]
    assert (found.first_seen, found.last_seen) == (bought.time, NOW - timedelta(hours=1))
    assert not found.degraded


async def test_link_counts_once_and_is_taken_back_from_either_end(client: Client) -> None:
    first = await client.link_identifiers([(ANNA, PHONE)])
    again = await client.link_identifiers([(PHONE, ANNA)])
    gone = await client.unlink_identifiers([(PHONE, ANNA)])

    assert [(one.changed, one.unchanged) for one in (first, again, gone)] == [
        (1, 0), (0, 1), (1, 0),
    ]  # fmt: skip
    assert (await client.get_customer(ANNA)).identifiers == (ANNA,)
    assert first.log_position < gone.log_position


async def test_link_that_does_not_count_is_named_and_the_others_count(client: Client) -> None:
    done = await client.link_identifiers([(ANNA, ANNA), (ANNA, PHONE)])

    assert [(one.index, one.field, one.reason) for one in done.rejected] == [
        (0, "other", "INVALID_INPUT")
    ]
    assert done.changed == 1


async def test_attributes_are_set_and_taken_away_and_others_stay(client: Client) -> None:
    await client.set_attributes(ANNA, {"tier": "gold", "city": "Ulm"})
    await client.set_attributes(ANNA, {"tier": None})

    assert (await client.get_customer(ANNA)).attributes == {"city": "Ulm"}


async def test_newest_statement_holds_and_all_of_them_are_told(client: Client) -> None:
    old = said(Purpose.EMAIL, granted=True, time=NOW - timedelta(days=2))
    new = said(Purpose.EMAIL, granted=False)

    done = await client.set_consents([new, old, old])

    found = await client.get_customer(ANNA)
    assert (done.changed, done.unchanged) == (2, 1)
    assert [one.statement for one in found.consents if one.purpose is Purpose.EMAIL] == [
        new.statement
    ]
    assert found.statements == (new.statement, old.statement)


async def test_time_without_zone_is_refused_before_anything_is_sent(client: Client) -> None:
    naive = replace(said(Purpose.EMAIL, granted=True).statement, time=NOW.replace(tzinfo=None))

    with pytest.raises(InvalidInput) as caught:
        await client.set_consents([ConsentChange(ANNA, naive)])

    assert caught.value.field == "consents[0].statement.time"


async def test_more_than_a_thousand_statements_are_refused(client: Client) -> None:
    with pytest.raises(InvalidInput, match="1,000"):
        await client.set_consents([said(Purpose.EMAIL, granted=True)] * 1_001)


async def test_client_without_asyncio_does_the_same(desk: Desk) -> None:
    def asked() -> KnownCustomer:
        with RecsysClient(desk.address, timeout_ms=10_000) as client:
            client.link_identifiers([(ANNA, PHONE), (ANNA, MAIL)])
            client.unlink_identifiers([(MAIL, ANNA)])
            client.set_attributes(PHONE, {"tier": "gold"})
            client.set_consents([said(Purpose.TRAIN, granted=False)])
            return client.get_customer(PHONE)

    found = await asyncio.to_thread(asked)

    assert found.identifiers == (ANNA, PHONE)
    assert found.attributes == {"tier": "gold"}
    assert [one.granted for one in found.consents] == [True, False, False]


class OpeningDesk:
    """Cannot answer at first, and then knows nobody."""

    def __init__(self) -> None:
        self.calls = 0

    async def change(self, changes: Sequence[CustomerChange]) -> CustomersChanged:
        self.calls += 1
        if self.calls == 1:
            raise Unavailable("the desk opens in a moment", reason="OPENING")
        return CustomersChanged(len(changes), 0, (), Position(1))

    async def find(self, identifier: Identifier) -> FoundCustomer:
        raise NotImplementedError


async def test_change_is_sent_again_where_the_service_is_away_for_a_moment() -> None:
    desk = OpeningDesk()
    server = grpc.aio.server(interceptors=[StatusInterceptor(CallMetrics(Registry()))])
    servicer = CustomerServicer(desk, utc_now, erasures=NOT_ASKED, exports=NOT_ASKED)
    pb_grpc.add_CustomerServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()

    async with Client(f"127.0.0.1:{port}", timeout_ms=10_000) as client:
        done = await client.set_attributes(ANNA, {"tier": "gold"})

    await server.stop(None)
    assert (done.changed, desk.calls) == (1, 2)


def test_what_a_newer_server_tells_of_other_kinds_is_left_out() -> None:
    customer = pb.Customer(
        identifiers=[pb.Identifier(kind=pb.IDENTIFIER_KIND_USER, value="anna")],
        consents=[pb.Consent(purpose=pb.PURPOSE_PERSONALISE, granted=True)],
        mails=[pb.CustomerMail(step=pb.MAIL_STEP_UNSPECIFIED)],
    )
    wire = customer.SerializeToString()
    unknown = pb.Customer(identifiers=[pb.Identifier(value="x")], consents=[pb.Consent()])
    answer = pb.GetCustomerResponse()
    answer.customer.ParseFromString(wire + unknown.SerializeToString())

    found = decode_customer(answer)

    assert found.identifiers == (ANNA,)
    assert [one.purpose for one in found.consents] == [Purpose.PERSONALISE]
    assert found.mails == ()
