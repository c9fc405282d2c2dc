"""Questions why, and their answers, between the wire and the domain."""

from __future__ import annotations

from datetime import datetime

from protos.recsys.v1 import recommendation_service_pb2 as pb
from recsys.ids import ItemId, check_id
from recsys.query import Page
from recsys.why.explanation import Explanation, LastItem, Proposal, Ranking, Refusal
from serving.api import codec
from serving.api.names import DEGRADED_NUMBERS, FINDING_NUMBERS, TIER_NUMBERS
from serving.api.reason_codec import encode_contributions, encode_reason


def decode_question(request: pb.ExplainRequest, *, now: datetime) -> tuple[Page, ItemId]:
    """Return the list and the item that are asked about.

    Raises InvalidInput naming the first field at fault.
    """
    check_id("item_id", request.item_id)
    query = codec.decode_query(request.request, now=now)
    return Page((query,)), ItemId(request.item_id)


def encode_explanation(found: Explanation) -> pb.ExplainResponse:
    """Return the answer as it goes over the wire."""
    return pb.ExplainResponse(
        item_id=found.item_id,
        shown_item_id=found.shown_id,
        listed=found.listed,
        position=found.position,
        cause=FINDING_NUMBERS[found.cause],
        findings=[
            pb.Finding(code=FINDING_NUMBERS[one.code], text=one.text) for one in found.findings
        ],
        refusals=[_refusal(one) for one in found.refusals],
        proposals=[_proposal(one) for one in found.proposals],
        ranking=_ranking(found.ranking) if found.ranking else None,
        reason=encode_reason(found.reason) if found.reason else None,
        rules_applied=found.rules,
        last_item=_last(found.last) if found.last else None,
        placement=found.placement,
        tier=TIER_NUMBERS[found.tier],
        bundle_version=found.bundle_version,
        personalised=found.personalised,
        degraded=bool(found.degraded),
        degraded_reason=DEGRADED_NUMBERS.get(found.degraded, pb.DEGRADED_REASON_UNSPECIFIED),
    )


def _refusal(refusal: Refusal) -> pb.Refusal:
    values = [pb.ComparedValue(name=one.name, value=one.value) for one in refusal.values]
    return pb.Refusal(filter=refusal.filter, values=values)


def _proposal(proposal: Proposal) -> pb.Proposal:
    return pb.Proposal(
        source=proposal.source,
        rank=proposal.rank,
        depth=proposal.depth,
        proposed=proposal.proposed,
        score=proposal.score,
    )


def _ranking(ranking: Ranking) -> pb.Ranking:
    return pb.Ranking(
        rank=ranking.rank,
        ranked_count=ranking.n_ranked,
        score=ranking.score,
        contributions=encode_contributions(ranking.contributions),
    )


def _last(last: LastItem) -> pb.RecommendedItem:
    return pb.RecommendedItem(
        item_id=last.item_id, title=last.title, position=last.position, score=last.score
    )
