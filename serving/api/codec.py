"""Questions and answers between the wire and the domain, with every check that input needs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from protos.recsys.v1 import recommendation_service_pb2 as pb
from recsys.errors import InvalidInput
from recsys.ids import ItemId, check_id
from recsys.items import check_market
from recsys.query import (
    MOST_EXCLUDED,
    MOST_ITEMS,
    MOST_SEEDS,
    Query,
    Reason,
    Recommendation,
    RecommendedItem,
)
from serving.api.names import DEGRADED_NUMBERS, REASON_NUMBERS, TIER_NUMBERS


def decode_query(request: pb.RecommendRequest, *, now: datetime) -> Query:
    """Return what is asked. Raises InvalidInput naming the first field at fault."""
    check_id("placement", request.placement)
    for name in ("user_id", "visitor_id", "session_id"):
        if getattr(request, name):
            check_id(name, getattr(request, name))
    if request.market:
        check_market("market", request.market)
    if request.page_size < 0:
        raise InvalidInput(
            "page_size", request.page_size, f"0 or more; above {MOST_ITEMS} means {MOST_ITEMS}"
        )
    return Query(
        placement=request.placement,
        now=now,
        user_id=request.user_id,
        visitor_id=request.visitor_id,
        session_id=request.session_id,
        seeds=_item_ids("seed_item_ids", request.seed_item_ids, MOST_SEEDS),
        excluded=_item_ids("excluded_item_ids", request.excluded_item_ids, MOST_EXCLUDED),
        limit=min(request.page_size, MOST_ITEMS),
        market=request.market,
    )


def encode_recommendation(recommendation: Recommendation) -> pb.RecommendResponse:
    """Return the answer as it goes over the wire."""
    return pb.RecommendResponse(
        items=[_encode_item(item) for item in recommendation.items],
        placement=recommendation.placement,
        tier=TIER_NUMBERS[recommendation.tier],
        bundle_version=recommendation.bundle_version,
        attribution_token=recommendation.attribution_token,
        degraded=bool(recommendation.degraded),
        degraded_reason=DEGRADED_NUMBERS.get(
            recommendation.degraded, pb.DEGRADED_REASON_UNSPECIFIED
        ),
        missing_ids=recommendation.missing_ids,
        personalised=recommendation.personalised,
    )


def _item_ids(field: str, ids: Sequence[str], most: int) -> tuple[ItemId, ...]:
    if len(ids) > most:
        raise InvalidInput(field, len(ids), f"at most {most:,} ids")
    for place, item_id in enumerate(ids):
        check_id(f"{field}[{place}]", item_id)
    return tuple(ItemId(item_id) for item_id in ids)


def _encode_item(item: RecommendedItem) -> pb.RecommendedItem:
    return pb.RecommendedItem(
        item_id=item.item_id,
        position=item.position,
        score=item.score,
        source=item.source,
        reason=_encode_reason(item.reason),
        title=item.title,
    )


def _encode_reason(reason: Reason) -> pb.Reason:
    return pb.Reason(
        code=REASON_NUMBERS[reason.code], text=reason.text, anchor_item_ids=reason.anchors
    )
