"""The caller's side of groups: what suits somebody best, by category, brand or the like."""

from __future__ import annotations

from typing import Unpack

from protos.recsys.v1 import recommendation_service_pb2 as pb
from recsys.pipeline.groupings import Group, RecommendedGroups
from recsys.query import Tier
from serving.api.client_codec import (
    Asker,
    decode_degraded,
    decode_items,
    encode_asker,
    ids,
    said_as_invalid,
)
from serving.api.names import TIERS


class AskedGroups(Asker, total=False):
    """Who asks, and for what groups beside the field to group by.

    level: names of a category's path that tell groups apart, from the root; 0 for all of them.
    limit, items_per_group: most groups, and most items of each; 0 means 10, and 3.
    filter: what items have to be, such as `price < 20`; empty for anything.
    """

    level: int
    limit: int
    items_per_group: int
    filter: str


def encode_groups_question(
    placement: str, group_by: str, **asked: Unpack[AskedGroups]
) -> pb.RecommendGroupsRequest:
    """Return the request for the groups of one placement.

    Raises InvalidInput where something has a type or characters that cannot be sent.
    """
    with said_as_invalid():
        return pb.RecommendGroupsRequest(
            placement=placement,
            group_by=group_by,
            level=asked.get("level", 0),
            page_size=asked.get("limit", 0),
            items_per_group=asked.get("items_per_group", 0),
            filter=asked.get("filter", ""),
            **encode_asker(asked),
        )


def decode_groups(response: pb.RecommendGroupsResponse) -> RecommendedGroups:
    """Return the groups."""
    return RecommendedGroups(
        groups=tuple(
            Group(group.value, group.score, decode_items(group.items)) for group in response.groups
        ),
        placement=response.placement,
        tier=TIERS.get(response.tier, Tier.POPULAR),
        bundle_version=response.bundle_version,
        attribution_token=response.attribution_token,
        degraded=decode_degraded(response),
        personalised=response.personalised,
        missing_ids=ids(response.missing_ids),
    )
