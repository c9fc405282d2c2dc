"""The words about customers and their numbers on the wire."""

from __future__ import annotations

from protos.recsys.v1 import customer_service_pb2 as pb
from recsys.customers import IdKind, Purpose
from recsys.events import EventType

KIND_NUMBERS: dict[IdKind, pb.IdentifierKind.ValueType] = {
    kind: pb.IdentifierKind.Value(f"IDENTIFIER_KIND_{kind.name}") for kind in IdKind
}
KINDS = {number: kind for kind, number in KIND_NUMBERS.items()}

PURPOSE_NUMBERS: dict[Purpose, pb.Purpose.ValueType] = {
    purpose: pb.Purpose.Value(f"PURPOSE_{purpose.name}") for purpose in Purpose
}
PURPOSES_BY_NUMBER = {number: purpose for purpose, number in PURPOSE_NUMBERS.items()}

STORE_NUMBERS: dict[str, pb.StoreKind.ValueType] = {
    name.removeprefix("STORE_KIND_").lower(): number
    for name, number in pb.StoreKind.items()
    if number
}
"""By the name that a receipt has for the store."""

MAIL_STEPS: dict[EventType, pb.MailStep.ValueType] = {
    EventType.EMAIL_SENT: pb.MAIL_STEP_SENT,
    EventType.EMAIL_OPENED: pb.MAIL_STEP_OPENED,
    EventType.EMAIL_CLICKED: pb.MAIL_STEP_CLICKED,
}
