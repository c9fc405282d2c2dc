"""The caller's side of questions why an item is in a list, or why it is not."""

from __future__ import annotations

from typing import Unpack

from protos.recsys.v1 import recommendation_service_pb2 as pb
from recsys.ids import ItemId
from recsys.query import Tier
from recsys.why.explanation import (
    Compared,
    Explanation,
    Finding,
    FindingCode,
    LastItem,
    Proposal,
    Ranking,
    Refusal,
)
from serving.api.client_codec import Asked, decode_degraded, encode_query, said_as_invalid
from serving.api.names import FINDINGS, TIERS
from serving.api.reason_client_codec import decode_contributions, decode_reason


def encode_question(placement: str, item_id: str, **asked: Unpack[Asked]) -> pb.ExplainRequest:
    """Return the question why an item is, or is not, in the list of a placement.

    Raises InvalidInput where something has a type or characters that cannot be sent.
    """
    request = encode_query(placement, **asked)
    with said_as_invalid():
        return pb.ExplainRequest(request=request, item_id=item_id)


def decode_explanation(response: pb.ExplainResponse) -> Explanation:
    """Return the answer; a finding that this client does not know reads as the vaguest."""
    return Explanation(
        item_id=ItemId(response.item_id),
        placement=response.placement,
        cause=_code(response.cause),
        findings=tuple(Finding(_code(one.code), one.text) for one in response.findings),
        shown_id=response.shown_item_id,
        position=response.position,
        refusals=tuple(_refusal(one) for one in response.refusals),
        proposals=tuple(_proposal(one) for one in response.proposals),
        ranking=_ranking(response.ranking) if response.HasField("ranking") else None,
        reason=decode_reason(response.reason) if response.HasField("reason") else None,
        rules=tuple(response.rules_applied),
        last=_last(response.last_item) if response.HasField("last_item") else None,
        tier=TIERS.get(response.tier, Tier.POPULAR),
        bundle_version=response.bundle_version,
        personalised=response.personalised,
        degraded=decode_degraded(response),
    )


def _code(number: pb.FindingCode.ValueType) -> FindingCode:
    return FINDINGS.get(number, FindingCode.RANKED)


def _refusal(refusal: pb.Refusal) -> Refusal:
    values = (Compared(one.name, one.value) for one in refusal.values)
    return Refusal(refusal.filter, tuple(values))


def _proposal(found: pb.Proposal) -> Proposal:
    return Proposal(found.source, found.rank, found.depth, found.proposed, found.score)


def _ranking(found: pb.Ranking) -> Ranking:
    contributions = decode_contributions(found.contributions)
    return Ranking(found.rank, found.ranked_count, found.score, contributions)


def _last(item: pb.RecommendedItem) -> LastItem:
    return LastItem(ItemId(item.item_id), item.title, item.position, item.score)
