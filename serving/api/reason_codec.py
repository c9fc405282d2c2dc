"""Reasons, and chosen fields of items, as they go over the wire.

What stands inside another message is given by its fields: a message would be copied, and its
messages with it, at each depth.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from protos.recsys.v1 import event_service_pb2 as event_pb
from recsys.query import Contribution, ItemField, Reason
from serving.api.names import REASON_NUMBERS, TYPE_NUMBERS

Fields = Any
"""The fields of a message, by name; generated code takes them, and has no type for them."""


def encode_reason(reason: Reason) -> Fields:
    """Return a reason as it goes over the wire."""
    due = None
    if reason.due is not None:
        due = Timestamp()
        due.FromDatetime(reason.due)
    return {
        "code": REASON_NUMBERS[reason.code],
        "text": reason.text,
        "anchor_item_ids": reason.anchors,
        "anchor_event_type": TYPE_NUMBERS[reason.anchor_event]
        if reason.anchor_event
        else event_pb.EVENT_TYPE_UNSPECIFIED,
        "due_time": due,
        "usual_quantity": reason.usual_quantity,
        "contributions": encode_contributions(reason.contributions),
    }


def encode_contributions(contributions: Iterable[Contribution]) -> list[Fields]:
    """Return shares of sources as they go over the wire."""
    return [{"source": one.source, "share": one.share} for one in contributions]


def encode_fields(fields: Iterable[ItemField]) -> Iterator[Fields]:
    """Yield the fields of an item as they go over the wire."""
    for one in fields:
        match one.value:
            case str():
                yield {"name": one.name, "text": one.value}
            case tuple():
                yield {"name": one.name, "list": {"texts": one.value}}
            case _:
                yield {"name": one.name, "number": one.value}
