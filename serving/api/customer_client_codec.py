"""Customers as a client asks for them and changes them, and what it is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from protos.recsys.v1 import customer_service_pb2 as pb
from recsys.customers import ConsentChange, ConsentStatement, Identifier, Purpose
from recsys.errors import InvalidInput
from recsys.events import EventType
from serving.api.customer_names import (
    KIND_NUMBERS,
    KINDS,
    MAIL_STEPS,
    PURPOSE_NUMBERS,
    PURPOSES_BY_NUMBER,
)
from serving.api.instants import instant_of, stamp_of

Link = tuple[Identifier, Identifier]
"""Two identifiers of one person."""

Changed = (
    pb.LinkIdentifiersResponse
    | pb.UnlinkIdentifiersResponse
    | pb.SetAttributesResponse
    | pb.SetConsentsResponse
)

_MAIL_STEPS = {number: step for step, number in MAIL_STEPS.items()}


@dataclass(frozen=True, slots=True)
class RejectedChange:
    """One change of a customer that does not count, and why.

    index: its place in the request, from 0.
    field: path of the field at fault; empty where it is the change itself.
    reason: machine-readable, such as INVALID_INPUT or TOO_MANY_IDENTIFIERS.
    message: what came, what was wanted and what to do.
    """

    index: int
    field: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class CustomersResult:
    """What became of changes of customers.

    changed: those that made a difference. unchanged: those that said what was known.
    log_position: up to which all of it stands.
    """

    changed: int
    unchanged: int
    rejected: tuple[RejectedChange, ...]
    log_position: int


@dataclass(frozen=True, slots=True)
class HeldConsent:
    """What holds for one purpose. statement: None where nothing was said, so the default holds."""

    purpose: Purpose
    granted: bool
    statement: ConsentStatement | None


@dataclass(frozen=True, slots=True)
class CustomerItem:
    """One thing that was done with an item. item_id: empty for an e-mail without one."""

    item_id: str
    title: str
    time: datetime
    quantity: int


@dataclass(frozen=True, slots=True)
class CustomerMail:
    """One step of one e-mail: that it was sent, opened or clicked."""

    step: EventType
    item: CustomerItem


@dataclass(frozen=True, slots=True)
class KnownCustomer:
    """All that is known of one customer, under all identifiers; what was done newest first.

    consents: what holds, one a purpose. statements: all that was said, newest first.
    first_seen, last_seen: None where nothing is remembered. cart: what was left in it.
    degraded: whether what the customer did may lack some of it, or all.
    """

    identifiers: tuple[Identifier, ...]
    attributes: Mapping[str, str]
    consents: tuple[HeldConsent, ...]
    statements: tuple[ConsentStatement, ...]
    first_seen: datetime | None
    last_seen: datetime | None
    purchases: tuple[CustomerItem, ...]
    views: tuple[CustomerItem, ...]
    cart: tuple[CustomerItem, ...]
    shown: tuple[CustomerItem, ...]
    mails: tuple[CustomerMail, ...]
    degraded: bool


def encode_asked(identifier: Identifier) -> pb.GetCustomerRequest:
    """Return a question for a customer as a request."""
    return pb.GetCustomerRequest(identifier=_identifier(identifier))


def encode_links(links: Iterable[Link]) -> pb.LinkIdentifiersRequest:
    """Return links to make as a request."""
    return pb.LinkIdentifiersRequest(links=_links(links))


def encode_unlinks(links: Iterable[Link]) -> pb.UnlinkIdentifiersRequest:
    """Return links to take back as a request."""
    return pb.UnlinkIdentifiersRequest(links=_links(links))


def encode_attributes(
    identifier: Identifier, attributes: Mapping[str, str | None]
) -> pb.SetAttributesRequest:
    """Return properties of a customer as a request."""
    return pb.SetAttributesRequest(
        identifier=_identifier(identifier),
        attributes=[
            pb.CustomerAttribute(name=name, value=value) for name, value in attributes.items()
        ],
    )


def encode_consents(changes: Sequence[ConsentChange]) -> pb.SetConsentsRequest:
    """Return statements as a request. Raises InvalidInput for a time without zone."""
    return pb.SetConsentsRequest(
        consents=[
            pb.CustomerConsent(
                identifier=_identifier(one.identifier),
                statement=_statement(one.statement, f"consents[{place}].statement"),
            )
            for place, one in enumerate(changes)
        ]
    )


def decode_changed(response: Changed) -> CustomersResult:
    """Return what became of changes."""
    return CustomersResult(
        response.changed_count,
        response.unchanged_count,
        tuple(
            RejectedChange(one.index, one.field, one.reason, one.message)
            for one in response.rejected
        ),
        response.log_position,
    )


def decode_customer(response: pb.GetCustomerResponse) -> KnownCustomer:
    """Return the customer of an answer; kinds and purposes this client does not know are left out.

    A newer server may send such.
    """
    customer = response.customer
    return KnownCustomer(
        identifiers=tuple(
            Identifier(KINDS[one.kind], one.value)
            for one in customer.identifiers
            if one.kind in KINDS
        ),
        attributes={one.name: one.value for one in customer.attributes},
        consents=tuple(_held(one) for one in customer.consents if _known(one.purpose)),
        statements=tuple(_said(one) for one in customer.statements if _known(one.purpose)),
        first_seen=_instant(customer.first_seen_time, customer.HasField("first_seen_time")),
        last_seen=_instant(customer.last_seen_time, customer.HasField("last_seen_time")),
        purchases=_items(customer.purchases),
        views=_items(customer.views),
        cart=_items(customer.cart),
        shown=_items(customer.shown),
        mails=tuple(
            CustomerMail(_MAIL_STEPS[one.step], _item(one.item))
            for one in customer.mails
            if one.step in _MAIL_STEPS
        ),
        degraded=customer.degraded,
    )


def _identifier(identifier: Identifier) -> pb.Identifier:
    return pb.Identifier(kind=KIND_NUMBERS[identifier.kind], value=identifier.value)


def _links(links: Iterable[Link]) -> list[pb.IdentifierLink]:
    return [
        pb.IdentifierLink(one=_identifier(one), other=_identifier(other)) for one, other in links
    ]


def _statement(said: ConsentStatement, field: str) -> pb.ConsentStatement:
    if said.time.tzinfo is None:
        raise InvalidInput(f"{field}.time", str(said.time), "a time with zone")
    return pb.ConsentStatement(
        purpose=PURPOSE_NUMBERS[said.purpose],
        granted=said.granted,
        time=stamp_of(said.time),
        basis=said.basis,
    )


def _known(purpose: pb.Purpose.ValueType) -> bool:
    return purpose in PURPOSES_BY_NUMBER


def _held(consent: pb.Consent) -> HeldConsent:
    said = _said(consent.statement) if consent.HasField("statement") else None
    return HeldConsent(PURPOSES_BY_NUMBER[consent.purpose], consent.granted, said)


def _said(statement: pb.ConsentStatement) -> ConsentStatement:
    return ConsentStatement(
        PURPOSES_BY_NUMBER[statement.purpose],
        statement.granted,
        instant_of("time", statement.time),
        statement.basis,
    )


def _items(items: Iterable[pb.CustomerItem]) -> tuple[CustomerItem, ...]:
    return tuple(_item(one) for one in items)


def _item(item: pb.CustomerItem) -> CustomerItem:
    return CustomerItem(item.item_id, item.title, instant_of("time", item.time), item.quantity)


def _instant(stamp: Timestamp, given: bool) -> datetime | None:
    return instant_of("time", stamp) if given else None
