from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from protos.recsys.v1 import customer_service_pb2 as pb
from recsys.customers import (
    ConsentChange,
    Consents,
    ConsentStatement,
    CustomerChange,
    Identifier,
    IdKind,
    LinkChange,
    Purpose,
)
from recsys.errors import InvalidInput
from recsys.events import EventType, Position
from recsys.lately import Trace
from serving.api.customer_names import KIND_NUMBERS, PURPOSE_NUMBERS
from serving.api.customer_servicer import CustomerServicer
from serving.customers import Activity, FoundCustomer
from serving.erasure.asking import AskedErasure
from serving.erasure.ledger import Entry
from serving.erasure.receipts import Receipt
from serving.log.customer_register import CustomersChanged, Refusal, RegisteredCustomer

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = int(NOW.timestamp())
ANNA = pb.Identifier(kind=pb.IDENTIFIER_KIND_USER, value="anna")
PHONE = pb.Identifier(kind=pb.IDENTIFIER_KIND_DEVICE, value="phone")
NUMBER = 3
CONTEXT: Any = None


class Desk:
    """Answers as it is told, and notes what it was asked to change and whom to erase."""

    def __init__(self, found: FoundCustomer | None = None, *, refuse: int | None = None) -> None:
        self.found = found
        self.refuse = refuse
        self.changes: list[CustomerChange] = []
        self.erased: list[tuple[Identifier, bool]] = []
        self.exported: list[Identifier] = []

    async def change(self, changes: Sequence[CustomerChange]) -> CustomersChanged:
        self.changes += changes
        refused = () if self.refuse is None else (Refusal(self.refuse, "TOO_MANY", "shared"),)
        return CustomersChanged(len(changes) - len(refused), 0, refused, Position(7))

    async def find(self, identifier: Identifier) -> FoundCustomer:
        assert self.found is not None
        return self.found

    async def erase(self, identifier: Identifier, *, alone: bool) -> AskedErasure:
        self.erased.append((identifier, alone))
        entry = Entry(NUMBER, "e1", NOW.replace(microsecond=9), Position(7), ("aa", "bb"), alone)
        return AskedErasure(entry, degraded=True)

    async def receipt(self, erasure_id: str) -> Receipt:
        return Receipt(erasure_id, int(erasure_id[1:]), NOW.isoformat(), 2, alone=True)

    async def receipts(self, before: int | None, limit: int) -> list[Receipt]:
        first = NUMBER if before is None else before - 1
        return [await self.receipt(f"e{first - n}") for n in range(min(limit, first))]

    async def chunks(self, identifier: Identifier) -> AsyncGenerator[bytes, None]:
        self.exported.append(identifier)
        for chunk in (b"{}", b"\n"):
            yield chunk


def servicer(desk: Desk) -> CustomerServicer:
    return CustomerServicer(desk, lambda: NOW, erasures=desk, exports=desk)


def stamp(time: datetime) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(time)
    return made


def link(one: pb.Identifier, other: pb.Identifier) -> pb.IdentifierLink:
    return pb.IdentifierLink(one=one, other=other)


def test_every_kind_and_purpose_has_its_own_number() -> None:
    assert len(set(KIND_NUMBERS.values())) == len(IdKind) == len(pb.IdentifierKind.values()) - 1
    assert len(set(PURPOSE_NUMBERS.values())) == len(Purpose) == len(pb.Purpose.values()) - 1


async def test_valid_links_count_and_others_are_rejected_in_the_order_of_the_request() -> None:
    desk = Desk(refuse=1)
    request = pb.LinkIdentifiersRequest(
        links=[
            link(ANNA, PHONE),
            link(ANNA, ANNA),
            link(PHONE, ANNA),
            link(ANNA, pb.Identifier(value="x")),
        ]
    )

    answer = await servicer(desk).LinkIdentifiers(request, CONTEXT)

    told = [(one.index, one.field, one.reason) for one in answer.rejected]
    assert told == [
        (1, "other", "INVALID_INPUT"), (2, "", "TOO_MANY"), (3, "other.kind", "INVALID_INPUT"),
    ]  # fmt: skip
    assert (answer.changed_count, answer.log_position) == (1, 7)
    assert desk.changes[0] == LinkChange(
        Identifier(IdKind.USER, "anna"), Identifier(IdKind.DEVICE, "phone")
    )


async def test_unlink_takes_links_back() -> None:
    desk = Desk()

    answer = await servicer(desk).UnlinkIdentifiers(
        pb.UnlinkIdentifiersRequest(links=[link(ANNA, PHONE)]), CONTEXT
    )

    assert answer.changed_count == 1
    assert [one.linked for one in desk.changes if isinstance(one, LinkChange)] == [False]


def statement(
    *, purpose: pb.Purpose.ValueType = pb.PURPOSE_EMAIL, time: datetime | None = None
) -> pb.ConsentStatement:
    made = pb.ConsentStatement(purpose=purpose, granted=True, basis="form")
    if time is not None:
        made.time.CopyFrom(stamp(time))
    return made


@pytest.mark.parametrize(
    ("ahead", "counted"),
    [
        (None, NOW),
        (timedelta(hours=-5), NOW - timedelta(hours=5)),
        (timedelta(minutes=4), NOW),
    ],
)
async def test_consent_counts_at_its_time_and_never_ahead_of_the_clock(
    ahead: timedelta | None, counted: datetime
) -> None:
    desk = Desk()
    said = statement(time=None if ahead is None else NOW + ahead)

    answer = await servicer(desk).SetConsent(
        pb.SetConsentRequest(identifier=ANNA, statement=said), CONTEXT
    )

    wanted = ConsentStatement(Purpose.EMAIL, True, counted, "form")
    assert desk.changes == [ConsentChange(Identifier(IdKind.USER, "anna"), wanted)]
    assert answer.log_position == 7


@pytest.mark.parametrize(
    ("said", "field"),
    [
        (statement(time=NOW + timedelta(minutes=6)), "statement.time"),
        (statement(time=datetime(1960, 1, 1, tzinfo=UTC)), "statement.time"),
        (statement(purpose=pb.PURPOSE_UNSPECIFIED), "statement.purpose"),
        (pb.ConsentStatement(purpose=pb.PURPOSE_EMAIL), "statement.granted"),
        (
            pb.ConsentStatement(purpose=pb.PURPOSE_TRAIN, granted=True, basis="x" * 600),
            "statement.basis",
        ),
    ],
)
async def test_consent_that_holds_what_it_may_not_is_refused(
    said: pb.ConsentStatement, field: str
) -> None:
    desk = Desk()

    with pytest.raises(InvalidInput) as raised:
        await servicer(desk).SetConsent(
            pb.SetConsentRequest(identifier=ANNA, statement=said), CONTEXT
        )

    assert raised.value.field == field
    assert desk.changes == []


async def test_consents_of_many_customers_are_rejected_one_by_one_and_a_thousand_at_most() -> None:
    desk = Desk()
    good = pb.CustomerConsent(identifier=ANNA, statement=statement())
    bad = pb.CustomerConsent(
        identifier=ANNA, statement=pb.ConsentStatement(purpose=pb.PURPOSE_TRAIN)
    )

    answer = await servicer(desk).SetConsents(pb.SetConsentsRequest(consents=[bad, good]), CONTEXT)
    with pytest.raises(InvalidInput, match="at most 1,000"):
        await servicer(desk).SetConsents(pb.SetConsentsRequest(consents=[good] * 1_001), CONTEXT)

    assert [(one.index, one.field) for one in answer.rejected] == [(0, "statement.granted")]
    assert (answer.changed_count, len(desk.changes)) == (1, 1)


async def test_address_instead_of_its_hash_is_refused_and_not_repeated() -> None:
    address = pb.Identifier(kind=pb.IDENTIFIER_KIND_EMAIL, value="anna@example.org")

    with pytest.raises(InvalidInput) as raised:
        await servicer(Desk()).GetCustomer(pb.GetCustomerRequest(identifier=address), CONTEXT)

    assert raised.value.field == "identifier.value"
    assert "anna@" not in str(raised.value)


async def test_attribute_without_value_is_taken_away_and_a_fault_names_its_path() -> None:
    desk = Desk(refuse=0)
    gold = pb.CustomerAttribute(name="tier", value="gold")
    request = pb.SetAttributesRequest(
        identifier=ANNA, attributes=[gold, pb.CustomerAttribute(name="size")]
    )

    answer = await servicer(desk).SetAttributes(request, CONTEXT)
    request.attributes.add(name="", value="x")
    with pytest.raises(InvalidInput) as raised:
        await servicer(desk).SetAttributes(request, CONTEXT)

    assert [getattr(one, "value", "") for one in desk.changes] == ["gold", None]
    assert (answer.changed_count, answer.rejected[0].field) == (1, "attributes[0]")
    assert raised.value.field == "attributes[2].name"


async def test_customer_is_told_with_titles_defaults_and_times() -> None:
    bought = Trace(EventType.PURCHASE, 3, SECOND, 2)
    mailed = Trace(EventType.EMAIL_OPENED, -1, SECOND + 5, 1)
    said = ConsentStatement(Purpose.TRAIN, False, NOW, "letter")
    found = FoundCustomer(
        RegisteredCustomer(
            (Identifier(IdKind.CARD, "4711"),), (said,), Consents.of([said]), {"tier": "gold"}
        ),
        Consents.of([said]),
        Activity((SECOND, SECOND + 5), [bought], [], [bought], [], [mailed]),
        {3: ("milk", "Milk, fresh")},
        degraded=False,
    )

    answer = await servicer(Desk(found)).GetCustomer(
        pb.GetCustomerRequest(identifier=ANNA), CONTEXT
    )

    customer = answer.customer
    item = pb.CustomerItem(
        item_id="milk", title="Milk, fresh", time=Timestamp(seconds=SECOND), quantity=2
    )
    assert [(one.kind, one.value) for one in customer.identifiers] == [
        (pb.IDENTIFIER_KIND_CARD, "4711")
    ]
    assert (list(customer.purchases), list(customer.cart)) == ([item], [item])
    assert [(one.step, one.item.item_id) for one in customer.mails] == [(pb.MAIL_STEP_OPENED, "")]
    granted = [(one.purpose, one.granted, one.HasField("statement")) for one in customer.consents]
    assert granted == [(1, True, False), (2, False, True), (3, False, False)]
    assert customer.statements[0].basis == "letter"
    assert customer.statements[0].HasField("granted")
    assert customer.last_seen_time.seconds - customer.first_seen_time.seconds == 5


async def test_customer_never_seen_has_no_times() -> None:
    found = FoundCustomer(
        RegisteredCustomer((Identifier(IdKind.USER, "anna"),), (), Consents(), {}),
        Consents(),
        Activity(None, [], [], [], [], []),
        {},
        degraded=True,
    )

    answer = await servicer(Desk(found)).GetCustomer(
        pb.GetCustomerRequest(identifier=ANNA), CONTEXT
    )

    assert not answer.customer.HasField("first_seen_time")
    assert answer.customer.degraded


async def test_erasure_is_told_with_the_second_and_the_position_up_to_which_everything_goes() -> (
    None
):
    desk = Desk()
    request = pb.EraseCustomerRequest(identifier=ANNA, only_this_identifier=True)

    answer = await servicer(desk).EraseCustomer(request, CONTEXT)

    assert desk.erased == [(Identifier(IdKind.USER, "anna"), True)]
    assert answer == pb.EraseCustomerResponse(
        erasure_id="e1",
        identifier_count=2,
        erased_through_time=stamp(NOW),
        log_position=7,
        degraded=True,
    )


async def test_nobody_is_erased_or_exported_whose_identifier_is_none() -> None:
    desk = Desk()
    nobody = pb.Identifier(kind=pb.IDENTIFIER_KIND_USER)

    with pytest.raises(InvalidInput) as erased:
        await servicer(desk).EraseCustomer(pb.EraseCustomerRequest(identifier=nobody), CONTEXT)
    with pytest.raises(InvalidInput) as exported:
        async for _ in servicer(desk).ExportCustomer(pb.ExportCustomerRequest(), CONTEXT):
            pass

    assert (erased.value.field, exported.value.field) == ("identifier.value", "identifier.kind")
    assert (desk.erased, desk.exported) == ([], [])


async def test_one_erasure_is_returned_as_far_as_it_is() -> None:
    answer = await servicer(Desk()).GetErasure(pb.GetErasureRequest(erasure_id="e1"), CONTEXT)

    assert answer.erasure == pb.Erasure(
        erasure_id="e1", request_time=stamp(NOW), identifier_count=2, only_this_identifier=True
    )


async def test_erasures_come_page_by_page_until_one_is_not_full() -> None:
    desk = servicer(Desk())

    first = await desk.ListErasures(pb.ListErasuresRequest(page_size=2), CONTEXT)
    request = pb.ListErasuresRequest(page_size=2, page_token=first.next_page_token)
    last = await desk.ListErasures(request, CONTEXT)

    assert [one.erasure_id for one in (*first.erasures, *last.erasures)] == ["e3", "e2", "e1"]
    assert (bool(first.next_page_token), last.next_page_token) == (True, "")


async def test_export_is_handed_on_as_it_comes() -> None:
    request = pb.ExportCustomerRequest(identifier=ANNA)

    parts = [one.chunk async for one in servicer(Desk()).ExportCustomer(request, CONTEXT)]

    assert parts == [b"{}", b"\n"]
