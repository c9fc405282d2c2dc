"""Questions and answers between the wire and the domain, with every check that input needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Literal

from protos.recsys.v1 import recommendation_service_pb2 as pb
from recsys.errors import InvalidInput
from recsys.fill_report import FillReport
from recsys.ids import ItemId, check_text
from recsys.query import (
    MOST_CANDIDATES,
    MOST_SLOTS,
    Page,
    Query,
    Recommendation,
    RecommendedItem,
    Selection,
)
from serving.api.asker_codec import (
    MOST_NAME,
    decode_asker,
    decode_filter,
    decode_ids,
    decode_limit,
    decode_placement,
)
from serving.api.names import DEGRADED_NUMBERS, TIER_NUMBERS
from serving.api.reason_codec import Fields, encode_fields, encode_reason
from serving.attribution import AttributionToken

Knob = Literal["diversity", "rotation_rate", "min_relevance"]


def decode_query(request: pb.RecommendRequest, *, now: datetime) -> Query:
    """Return what is asked. Raises InvalidInput naming the first field at fault."""
    asker = decode_asker(request, now)
    return replace(
        asker,
        placement=decode_placement(request.placement, "placement"),
        limit=decode_limit(request.page_size, "page_size"),
        filter=decode_filter(request.filter, "filter"),
        selection=_selection(request, ""),
        candidates=_candidates(request, ""),
        continues=_continues(request, ""),
    )


def decode_page(request: pb.RecommendPageRequest, *, now: datetime) -> Page:
    """Return the page that is asked for. Raises InvalidInput naming the first field at fault."""
    if not 1 <= len(request.slots) <= MOST_SLOTS:
        raise InvalidInput("slots", len(request.slots), f"1 to {MOST_SLOTS} slots")
    asker = decode_asker(request, now)
    slots = enumerate(request.slots)
    queries = tuple(_of_slot(slot, asker, f"slots[{place}].") for place, slot in slots)
    return Page(queries, slotted=True)


def _of_slot(slot: pb.Slot, asker: Query, at: str) -> Query:
    """Return what is asked for a slot; `at` begins the paths of its fields."""
    if slot.name:
        check_text(f"{at}name", slot.name, MOST_NAME)
    return replace(
        asker,
        placement=decode_placement(slot.placement, f"{at}placement"),
        limit=decode_limit(slot.page_size, f"{at}page_size"),
        filter=decode_filter(slot.filter, f"{at}filter"),
        selection=_selection(slot, at),
        candidates=_candidates(slot, at),
        continues=_continues(slot, at),
    )


def encode_checked(page: Page, bundle_version: str) -> pb.RecommendResponse:
    """Return the answer to a request that was checked and not served."""
    return pb.RecommendResponse(placement=page.asker.placement, bundle_version=bundle_version)


def encode_checked_page(
    request: pb.RecommendPageRequest, bundle_version: str
) -> pb.RecommendPageResponse:
    """Return the answer to the request for a page that was checked and not served."""
    lists = [pb.SlotList(name=slot.name, placement=slot.placement) for slot in request.slots]
    return pb.RecommendPageResponse(lists=lists, bundle_version=bundle_version)


def encode_recommendation(recommendation: Recommendation) -> pb.RecommendResponse:
    """Return the answer as it goes over the wire."""
    return pb.RecommendResponse(
        items=[encode_item(item) for item in recommendation.items],
        placement=recommendation.placement,
        tier=TIER_NUMBERS[recommendation.tier],
        bundle_version=recommendation.bundle_version,
        attribution_token=recommendation.attribution_token,
        degraded=bool(recommendation.degraded),
        degraded_reason=degraded_number(recommendation.degraded),
        missing_ids=recommendation.missing_ids,
        personalised=recommendation.personalised,
        about_item_ids=recommendation.about,
        continued=recommendation.continued,
        fill_report=_encode_fill(recommendation.fill),
    )


def encode_page(
    request: pb.RecommendPageRequest, lists: Sequence[Recommendation]
) -> pb.RecommendPageResponse:
    """Return the lists of a page, in the order of its slots, as they go over the wire."""
    first = lists[0]
    return pb.RecommendPageResponse(
        lists=[_encode_list(*pair) for pair in zip(request.slots, lists, strict=True)],
        bundle_version=first.bundle_version,
        degraded=bool(first.degraded),
        degraded_reason=degraded_number(first.degraded),
        missing_ids=dict.fromkeys(item for one in lists for item in one.missing_ids),
        personalised=first.personalised,
    )


def _candidates(asked: pb.RecommendRequest | pb.Slot, at: str) -> tuple[ItemId, ...]:
    """Return the items to choose from, each once; `at` begins the path of the field."""
    found = decode_ids(f"{at}candidate_item_ids", asked.candidate_item_ids, MOST_CANDIDATES)
    return tuple(dict.fromkeys(found))


def _continues(asked: pb.RecommendRequest | pb.Slot, at: str) -> str:
    """Return the token of the list to go on from. Raises InvalidInput for what is none."""
    if asked.continue_from:
        AttributionToken.decode(asked.continue_from, f"{at}continue_from")
    return asked.continue_from


def _selection(asked: pb.RecommendRequest | pb.Slot, at: str) -> Selection:
    """Return how the list is to be chosen; `at` begins the paths of the fields."""
    return Selection(
        _share(asked, "diversity", at),
        _share(asked, "rotation_rate", at),
        _share(asked, "min_relevance", at),
    )


def _share(asked: pb.RecommendRequest | pb.Slot, name: Knob, at: str) -> float | None:
    """Return a number from 0 to 1, None where it is not said. Raises InvalidInput for others."""
    if not asked.HasField(name):
        return None
    share: float = getattr(asked, name)
    if not 0 <= share <= 1:
        raise InvalidInput(f"{at}{name}", share, "a number from 0 to 1")
    return share


def degraded_number(degraded: str) -> pb.DegradedReason.ValueType:
    """Return why an answer is degraded as a number of the wire."""
    return DEGRADED_NUMBERS.get(degraded, pb.DEGRADED_REASON_UNSPECIFIED)


def _encode_list(slot: pb.Slot, answer: Recommendation) -> Fields:
    return {
        "name": slot.name,
        "placement": answer.placement,
        "items": [encode_item(item) for item in answer.items],
        "tier": TIER_NUMBERS[answer.tier],
        "attribution_token": answer.attribution_token,
        "continued": answer.continued,
        "about_item_ids": answer.about,
        "fill_report": _encode_fill(answer.fill),
    }


def _encode_fill(fill: FillReport | None) -> Fields | None:
    if fill is None:
        return None
    return {
        "wanted_count": fill.wanted,
        "eligible_count": fill.eligible,
        "returned_count": fill.returned,
        "fallback_count": fill.from_fallback,
        "on_page_count": fill.on_page,
        "removed": [{"filter": one.name, "item_count": one.n_items} for one in fill.removed],
        "unmet": [{"rule": one.rule, "why": one.why} for one in fill.unmet],
        "irrelevant_count": fill.irrelevant,
        "relevance_kept": fill.relevance_kept,
    }


def encode_item(item: RecommendedItem) -> Fields:
    """Return one item of a list as it goes over the wire: the fields of its message."""
    return {
        "item_id": item.item_id,
        "position": item.position,
        "score": item.score,
        "source": item.source,
        "reason": encode_reason(item.reason),
        "fields": encode_fields(item.fields),
        "title": item.title,
        "rules_applied": item.rules,
        "propensity": item.propensity,
    }
