"""Questions for groups of items, and their answers, between the wire and the domain."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from protos.recsys.v1 import recommendation_service_pb2 as pb
from recsys.errors import InvalidInput
from recsys.ids import check_id
from recsys.pipeline.groupings import (
    DEEPEST,
    GROUPS,
    ITEMS_OF_A_GROUP,
    MOST_GROUPS,
    MOST_ITEMS_OF_A_GROUP,
    Group,
    Grouping,
    RecommendedGroups,
)
from recsys.query import MOST_ITEM_FIELDS, Query
from serving.api.asker_codec import decode_asker, decode_filter, decode_placement
from serving.api.codec import degraded_number, encode_item
from serving.api.names import TIER_NUMBERS


def decode_groups_question(
    request: pb.RecommendGroupsRequest, *, now: datetime
) -> tuple[Query, Grouping]:
    """Return whose list is put into which groups. Raises InvalidInput naming the first fault."""
    query = replace(
        decode_asker(request, now),
        placement=decode_placement(request.placement, "placement"),
        filter=decode_filter(request.filter, "filter"),
    )
    if len(query.item_fields) >= MOST_ITEM_FIELDS:
        most = MOST_ITEM_FIELDS - 1
        raise InvalidInput("item_fields", len(query.item_fields), f"at most {most} names")
    check_id("group_by", request.group_by)
    if not 0 <= request.level <= DEEPEST:
        raise InvalidInput("level", request.level, f"0 to {DEEPEST}")
    grouping = Grouping(
        request.group_by,
        request.level,
        _most("page_size", request.page_size, GROUPS, MOST_GROUPS),
        _most("items_per_group", request.items_per_group, ITEMS_OF_A_GROUP, MOST_ITEMS_OF_A_GROUP),
    )
    return query, grouping


def encode_groups(found: RecommendedGroups) -> pb.RecommendGroupsResponse:
    """Return the groups as they go over the wire."""
    return pb.RecommendGroupsResponse(
        groups=[_encode_group(group) for group in found.groups],
        placement=found.placement,
        tier=TIER_NUMBERS[found.tier],
        bundle_version=found.bundle_version,
        attribution_token=found.attribution_token,
        degraded=bool(found.degraded),
        degraded_reason=degraded_number(found.degraded),
        missing_ids=found.missing_ids,
        personalised=found.personalised,
    )


def encode_checked_groups(query: Query, bundle_version: str) -> pb.RecommendGroupsResponse:
    """Return the answer to a request that was checked and not served."""
    return pb.RecommendGroupsResponse(placement=query.placement, bundle_version=bundle_version)


def _most(field: str, number: int, usual: int, most: int) -> int:
    if number < 0:
        raise InvalidInput(field, number, f"0 or more; above {most} means {most}")
    return min(number, most) or usual


def _encode_group(group: Group) -> pb.ItemGroup:
    items = [encode_item(item) for item in group.items]
    return pb.ItemGroup(value=group.value, score=group.score, items=items)
