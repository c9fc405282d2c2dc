"""Reasons, and chosen fields of items, as they go over the wire."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from google.protobuf.timestamp_pb2 import Timestamp

from protos.recsys.v1 import event_service_pb2 as event_pb
from protos.recsys.v1 import recommendation_service_pb2 as pb
from recsys.query import Contribution, ItemField, Reason
from serving.api.names import REASON_NUMBERS, TYPE_NUMBERS


def encode_reason(reason: Reason) -> pb.Reason:
    """Return a reason as it goes over the wire."""
    due = None
    if reason.due is not None:
        due = Timestamp()
        due.FromDatetime(reason.due)
    return pb.Reason(
        code=REASON_NUMBERS[reason.code],
        text=reason.text,
        anchor_item_ids=reason.anchors,
        anchor_event_type=TYPE_NUMBERS[reason.anchor_event]
        if reason.anchor_event
        else event_pb.EVENT_TYPE_UNSPECIFIED,
        due_time=due,
        usual_quantity=reason.usual_quantity,
        contributions=encode_contributions(reason.contributions),
    )


def encode_contributions(contributions: Iterable[Contribution]) -> list[pb.Contribution]:
    """Return shares of sources as they go over the wire."""
    return [pb.Contribution(source=one.source, share=one.share) for one in contributions]


def encode_fields(fields: Iterable[ItemField]) -> Iterator[pb.ItemField]:
    """Yield the fields of an item as they go over the wire."""
    for one in fields:
        match one.value:
            case str():
                yield pb.ItemField(name=one.name, text=one.value)
            case tuple():
                yield pb.ItemField(name=one.name, list=pb.TextList(texts=one.value))
            case _:
                yield pb.ItemField(name=one.name, number=one.value)
