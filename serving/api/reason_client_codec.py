"""The caller's side of reasons, and of chosen fields of items."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC

from protos.recsys.v1 import recommendation_service_pb2 as pb
from recsys.ids import ItemId
from recsys.query import Contribution, ItemField, Reason, ReasonCode
from serving.api.names import REASONS, TYPES


def decode_reason(reason: pb.Reason) -> Reason:
    """Return a reason; a code that this client does not know reads as the vaguest."""
    return Reason(
        code=REASONS.get(reason.code, ReasonCode.POPULAR),
        text=reason.text,
        anchors=tuple(ItemId(text) for text in reason.anchor_item_ids),
        anchor_event=TYPES.get(reason.anchor_event_type),
        due=reason.due_time.ToDatetime(UTC) if reason.HasField("due_time") else None,
        usual_quantity=reason.usual_quantity,
        contributions=decode_contributions(reason.contributions),
    )


def decode_contributions(found: Iterable[pb.Contribution]) -> tuple[Contribution, ...]:
    """Return the shares of sources."""
    return tuple(Contribution(one.source, one.share) for one in found)


def decode_fields(fields: Iterable[pb.ItemField]) -> tuple[ItemField, ...]:
    """Return the fields of an item; one of a type that this client does not know is left out."""
    return tuple(_field(one) for one in fields if one.WhichOneof("value"))


def _field(field: pb.ItemField) -> ItemField:
    match field.WhichOneof("value"):
        case "text":
            return ItemField(field.name, field.text)
        case "number":
            return ItemField(field.name, field.number)
        case _:
            return ItemField(field.name, tuple(field.list.texts))
