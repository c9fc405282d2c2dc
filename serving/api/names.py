"""The words of the domain and their numbers on the wire."""

from __future__ import annotations

from protos.recsys.v1 import event_service_pb2 as event_pb
from protos.recsys.v1 import recommendation_service_pb2 as pb
from recsys.events import Channel, EventType
from recsys.query import PageType, ReasonCode, Tier
from recsys.why.explanation import FindingCode

TYPE_NUMBERS: dict[EventType, event_pb.EventType.ValueType] = {
    kind: event_pb.EventType.Value(f"EVENT_TYPE_{kind.name}") for kind in EventType
}
TYPES = {number: kind for kind, number in TYPE_NUMBERS.items()}

CHANNEL_NUMBERS: dict[Channel, event_pb.Channel.ValueType] = {
    channel: event_pb.Channel.Value(f"CHANNEL_{channel.name}") for channel in Channel
}
CHANNELS = {number: channel for channel, number in CHANNEL_NUMBERS.items()}

TIER_NUMBERS: dict[Tier, pb.Tier.ValueType] = {
    tier: pb.Tier.Value(f"TIER_{tier.name}") for tier in Tier
}
TIERS = {number: tier for tier, number in TIER_NUMBERS.items()}

PAGE_TYPE_NUMBERS: dict[PageType, pb.PageType.ValueType] = {
    kind: pb.PageType.Value(f"PAGE_TYPE_{kind.name}") for kind in PageType
}
PAGE_TYPES = {number: kind for kind, number in PAGE_TYPE_NUMBERS.items()}

REASON_NUMBERS: dict[ReasonCode, pb.ReasonCode.ValueType] = {
    code: pb.ReasonCode.Value(f"REASON_CODE_{code.name}") for code in ReasonCode
}
REASONS = {number: code for code, number in REASON_NUMBERS.items()}

FINDING_NUMBERS: dict[FindingCode, pb.FindingCode.ValueType] = {
    code: pb.FindingCode.Value(f"FINDING_CODE_{code.name}") for code in FindingCode
}
FINDINGS = {number: code for code, number in FINDING_NUMBERS.items()}

DEGRADED_NUMBERS: dict[str, pb.DegradedReason.ValueType] = {
    name.removeprefix("DEGRADED_REASON_"): number
    for name, number in pb.DegradedReason.items()
    if number != pb.DEGRADED_REASON_UNSPECIFIED
}
DEGRADED_REASONS = {number: reason for reason, number in DEGRADED_NUMBERS.items()}
