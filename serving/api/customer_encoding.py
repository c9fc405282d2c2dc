"""What is known of customers, as it goes over the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from google.protobuf.timestamp_pb2 import Timestamp

from protos.recsys.v1 import customer_service_pb2 as pb
from recsys.customers import PURPOSES, ConsentStatement, Identifier, Purpose
from recsys.lately import Trace
from serving.api.customer_codec import DecodedChanges
from serving.api.customer_names import KIND_NUMBERS, MAIL_STEPS, PURPOSE_NUMBERS
from serving.api.instants import stamp_of
from serving.customers import FoundCustomer
from serving.log.customer_register import CustomersChanged

_NAMELESS = ("", "")


def encode_customer(
    found: FoundCustomer, unless_stated: frozenset[Purpose]
) -> pb.GetCustomerResponse:
    """Return one customer. unless_stated: purposes that are allowed where nothing was said."""
    registered, activity = found.registered, found.activity
    customer = pb.Customer(
        identifiers=[_identifier(one) for one in registered.identifiers],
        attributes=[
            pb.CustomerAttribute(name=name, value=value)
            for name, value in registered.attributes.items()
        ],
        consents=[_consent(purpose, found, unless_stated) for purpose in PURPOSES],
        statements=[_statement(one) for one in registered.statements],
        purchases=_items(activity.purchases, found.names),
        views=_items(activity.views, found.names),
        cart=_items(activity.cart, found.names),
        shown=_items(activity.shown, found.names),
        mails=[
            pb.CustomerMail(step=MAIL_STEPS[trace.kind], item=_item(trace, found.names))
            for trace in activity.mailed
        ],
        degraded=found.degraded,
    )
    if activity.seen is not None:
        first, last = activity.seen
        customer.first_seen_time.CopyFrom(_stamp(first))
        customer.last_seen_time.CopyFrom(_stamp(last))
    return pb.GetCustomerResponse(customer=customer)


def encode_linked(decoded: DecodedChanges, done: CustomersChanged) -> pb.LinkIdentifiersResponse:
    """Return what became of links."""
    return pb.LinkIdentifiersResponse(
        changed_count=done.changed,
        unchanged_count=done.unchanged,
        rejected=decoded.all_rejected(done),
        log_position=done.last_position,
    )


def encode_unlinked(
    decoded: DecodedChanges, done: CustomersChanged
) -> pb.UnlinkIdentifiersResponse:
    """Return what became of links that were to go."""
    return pb.UnlinkIdentifiersResponse(
        changed_count=done.changed,
        unchanged_count=done.unchanged,
        rejected=decoded.all_rejected(done),
        log_position=done.last_position,
    )


def encode_consents(decoded: DecodedChanges, done: CustomersChanged) -> pb.SetConsentsResponse:
    """Return what became of statements."""
    return pb.SetConsentsResponse(
        changed_count=done.changed,
        unchanged_count=done.unchanged,
        rejected=decoded.all_rejected(done),
        log_position=done.last_position,
    )


def encode_attributes(done: CustomersChanged) -> pb.SetAttributesResponse:
    """Return what became of properties."""
    rejected = [
        pb.RejectedChange(
            index=one.index,
            field=f"attributes[{one.index}]",
            reason=one.reason,
            message=one.message,
        )
        for one in done.refused
    ]
    return pb.SetAttributesResponse(
        changed_count=done.changed,
        unchanged_count=done.unchanged,
        rejected=rejected,
        log_position=done.last_position,
    )


def _consent(
    purpose: Purpose, found: FoundCustomer, unless_stated: frozenset[Purpose]
) -> pb.Consent:
    said = found.consents.about(purpose)
    return pb.Consent(
        purpose=PURPOSE_NUMBERS[purpose],
        granted=found.consents.allow(purpose, unless_stated),
        statement=None if said is None else _statement(said),
    )


def _identifier(identifier: Identifier) -> pb.Identifier:
    return pb.Identifier(kind=KIND_NUMBERS[identifier.kind], value=identifier.value)


def _statement(said: ConsentStatement) -> pb.ConsentStatement:
    return pb.ConsentStatement(
        purpose=PURPOSE_NUMBERS[said.purpose],
        granted=said.granted,
        time=stamp_of(said.time),
        basis=said.basis,
    )


def _items(traces: Sequence[Trace], names: Mapping[int, tuple[str, str]]) -> list[pb.CustomerItem]:
    return [_item(trace, names) for trace in traces]


def _item(trace: Trace, names: Mapping[int, tuple[str, str]]) -> pb.CustomerItem:
    item_id, title = names.get(trace.row, _NAMELESS)
    return pb.CustomerItem(
        item_id=item_id, title=title, time=_stamp(trace.second), quantity=trace.pieces
    )


def _stamp(second: int) -> Timestamp:
    return Timestamp(seconds=second)
