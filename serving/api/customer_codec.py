"""What callers ask of customers, between the wire and the domain, with every check of input."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from protos.recsys.v1 import customer_service_pb2 as pb
from recsys.customers import (
    MOST_ATTRIBUTES,
    PURPOSES,
    AttributeChange,
    ConsentChange,
    ConsentStatement,
    CustomerChange,
    Identifier,
    LinkChange,
)
from recsys.errors import InvalidInput
from serving.api.customer_names import KINDS, PURPOSES_BY_NUMBER
from serving.api.instants import instant_of
from serving.intake import LIKELY_AHEAD
from serving.log.customer_register import CustomersChanged

MOST_CHANGES = 1_000

Message = TypeVar("Message")


@dataclass(frozen=True, slots=True)
class DecodedChanges:
    """The changes of one request, and what of it does not count, each in its order.

    places: of each valid change in the request, from 0.
    """

    valid: tuple[CustomerChange, ...]
    places: tuple[int, ...]
    rejected: tuple[pb.RejectedChange, ...]

    def all_rejected(self, done: CustomersChanged) -> list[pb.RejectedChange]:
        """Return what does not count, by itself or by what is known, in order."""
        refused = [
            pb.RejectedChange(index=self.places[one.index], reason=one.reason, message=one.message)
            for one in done.refused
        ]
        return sorted([*self.rejected, *refused], key=lambda one: one.index)


def decode_identifier(message: pb.Identifier, field: str = "identifier") -> Identifier:
    """Return an identifier, checked. Raises InvalidInput naming the field at fault."""
    kind = KINDS.get(message.kind)
    if kind is None:
        raise InvalidInput(f"{field}.kind", message.kind, "a kind of identifier")
    identifier = Identifier(kind, message.value)
    identifier.check(field)
    return identifier


def decode_links(links: Sequence[pb.IdentifierLink], *, linked: bool) -> DecodedChanges:
    """Return links to make, or to take back. Raises InvalidInput for too many."""
    return _decoded("links", links, lambda message: _link_of(message, linked=linked))


def decode_consents(request: pb.SetConsentsRequest, *, now: datetime) -> DecodedChanges:
    """Return what many customers said. Raises InvalidInput for too many."""
    return _decoded(
        "consents", request.consents, lambda one: _consent_of(one.identifier, one.statement, now)
    )


def decode_consent(request: pb.SetConsentRequest, *, now: datetime) -> ConsentChange:
    """Return what one customer said. Raises InvalidInput naming the field at fault."""
    return _consent_of(request.identifier, request.statement, now)


def decode_attributes(request: pb.SetAttributesRequest) -> list[CustomerChange]:
    """Return the properties of one customer. Raises InvalidInput naming the field at fault."""
    identifier = decode_identifier(request.identifier)
    if len(request.attributes) > MOST_ATTRIBUTES:
        raise InvalidInput("attributes", len(request.attributes), f"at most {MOST_ATTRIBUTES}")
    return [
        _attribute_of(identifier, message, f"attributes[{place}]")
        for place, message in enumerate(request.attributes)
    ]


def _decoded(
    field: str, messages: Sequence[Message], change_of: Callable[[Message], CustomerChange]
) -> DecodedChanges:
    if len(messages) > MOST_CHANGES:
        raise InvalidInput(field, len(messages), f"at most {MOST_CHANGES:,}")
    valid, places, rejected = [], [], []
    for index, message in enumerate(messages):
        try:
            valid.append(change_of(message))
            places.append(index)
        except InvalidInput as error:
            rejected.append(
                pb.RejectedChange(
                    index=index, field=error.field, reason=error.reason, message=str(error)
                )
            )
    return DecodedChanges(tuple(valid), tuple(places), tuple(rejected))


def _link_of(message: pb.IdentifierLink, *, linked: bool) -> LinkChange:
    change = LinkChange(
        decode_identifier(message.one, "one"), decode_identifier(message.other, "other"), linked
    )
    change.check()
    return change


def _consent_of(
    identifier: pb.Identifier, message: pb.ConsentStatement, now: datetime
) -> ConsentChange:
    decoded = decode_identifier(identifier)
    purpose = PURPOSES_BY_NUMBER.get(message.purpose)
    if purpose is None:
        wanted = f"one of {len(PURPOSES)} purposes"
        raise InvalidInput("statement.purpose", message.purpose, wanted)
    if not message.HasField("granted"):
        raise InvalidInput("statement.granted", "nothing", "true or false")
    time = _stated_time(message, now)
    statement = ConsentStatement(purpose, message.granted, time, message.basis)
    with _within("statement"):
        statement.check()
    return ConsentChange(decoded, statement)


def _stated_time(message: pb.ConsentStatement, now: datetime) -> datetime:
    """Return when a statement counts: never ahead of now, or a later one would not hold."""
    if not message.HasField("time"):
        return now
    time = instant_of("statement.time", message.time)
    if time > now + LIKELY_AHEAD:
        wanted = "a time at most five minutes ahead of the server's clock"
        raise InvalidInput("statement.time", str(time), wanted)
    return min(time, now)


def _attribute_of(
    identifier: Identifier, message: pb.CustomerAttribute, field: str
) -> AttributeChange:
    value = message.value if message.HasField("value") else None
    change = AttributeChange(identifier, message.name, value)
    with _within(field):
        change.check()
    return change


@contextmanager
def _within(field: str) -> Iterator[None]:
    """Name the field at fault by its path below a field."""
    try:
        yield
    except InvalidInput as error:
        path = f"{field}.{error.field}"
        raise InvalidInput(path, error.came, error.wanted, reason=error.reason) from error
