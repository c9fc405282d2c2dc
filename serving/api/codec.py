"""Questions and answers between the wire and the domain, with every check that input needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal, TypeVar

from protos.recsys.v1 import recommendation_service_pb2 as pb
from recsys.errors import InvalidInput
from recsys.ids import ItemId, check_id, check_text
from recsys.items import MOST_CHARACTERS, check_market
from recsys.languages.language import check_language
from recsys.query import (
    MOST_EXCLUDED,
    MOST_FILTER,
    MOST_IN_CART,
    MOST_ITEM_FIELDS,
    MOST_ITEMS,
    MOST_SEEDS,
    MOST_SLOTS,
    FillReport,
    Page,
    Query,
    Recommendation,
    RecommendedItem,
    Scene,
    Selection,
)
from serving.api.names import CHANNELS, DEGRADED_NUMBERS, PAGE_TYPES, TIER_NUMBERS
from serving.api.reason_codec import encode_fields, encode_reason

T = TypeVar("T")

_MOST_NAME = 64
_MOST_SEARCH = 500

Knob = Literal["diversity", "rotation_rate", "min_relevance"]

AnyRequest = pb.RecommendRequest | pb.RecommendPageRequest


def decode_query(request: pb.RecommendRequest, *, now: datetime) -> Query:
    """Return what is asked. Raises InvalidInput naming the first field at fault."""
    asker = _asker(request, now)
    return replace(
        asker,
        placement=_placement(request.placement, "placement"),
        limit=_limit(request.page_size, "page_size"),
        filter=_filter(request.filter, "filter"),
        selection=_selection(request, ""),
    )


def decode_page(request: pb.RecommendPageRequest, *, now: datetime) -> Page:
    """Return the page that is asked for. Raises InvalidInput naming the first field at fault."""
    if not 1 <= len(request.slots) <= MOST_SLOTS:
        raise InvalidInput("slots", len(request.slots), f"1 to {MOST_SLOTS} slots")
    asker = _asker(request, now)
    slots = enumerate(request.slots)
    return Page(tuple(_of_slot(slot, asker, f"slots[{place}].") for place, slot in slots))


def _of_slot(slot: pb.Slot, asker: Query, at: str) -> Query:
    """Return what is asked for a slot; `at` begins the paths of its fields."""
    if slot.name:
        check_text(f"{at}name", slot.name, _MOST_NAME)
    return replace(
        asker,
        placement=_placement(slot.placement, f"{at}placement"),
        limit=_limit(slot.page_size, f"{at}page_size"),
        filter=_filter(slot.filter, f"{at}filter"),
        selection=_selection(slot, at),
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
        items=[_encode_item(item) for item in recommendation.items],
        placement=recommendation.placement,
        tier=TIER_NUMBERS[recommendation.tier],
        bundle_version=recommendation.bundle_version,
        attribution_token=recommendation.attribution_token,
        degraded=bool(recommendation.degraded),
        degraded_reason=_degraded_reason(recommendation.degraded),
        missing_ids=recommendation.missing_ids,
        personalised=recommendation.personalised,
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
        degraded_reason=_degraded_reason(first.degraded),
        missing_ids=first.missing_ids,
        personalised=first.personalised,
    )


def _asker(request: AnyRequest, now: datetime) -> Query:
    """Return who asks, when and where; the placement is not said yet."""
    for name in ("user_id", "visitor_id", "session_id"):
        if getattr(request, name):
            check_id(name, getattr(request, name))
    if request.market:
        check_market("market", request.market)
    return Query(
        placement="",
        now=now,
        user_id=request.user_id,
        visitor_id=request.visitor_id,
        session_id=request.session_id,
        seeds=_item_ids("seed_item_ids", request.seed_item_ids, MOST_SEEDS),
        excluded=_item_ids("excluded_item_ids", request.excluded_item_ids, MOST_EXCLUDED),
        market=request.market,
        scene=_scene(request),
        language=_language(request.language),
        item_fields=_field_names(request.item_fields),
    )


def _scene(request: AnyRequest) -> Scene:
    if request.device:
        check_text("device", request.device, _MOST_NAME)
    for name, most in (("category", MOST_CHARACTERS["category"]), ("search_query", _MOST_SEARCH)):
        if len(getattr(request, name)) > most:
            raise InvalidInput(name, getattr(request, name)[:64], f"at most {most} characters")
    return Scene(
        page_type=_known("page_type", request.page_type, PAGE_TYPES),
        cart=_item_ids("cart_item_ids", request.cart_item_ids, MOST_IN_CART),
        category=request.category,
        search=request.search_query,
        channel=_known("channel", request.channel, CHANNELS),
        device=request.device,
    )


def _language(tag: str) -> str:
    if tag:
        check_language("language", tag)
    return tag


def _field_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names, each once. Raises InvalidInput for too many of them."""
    if len(names) > MOST_ITEM_FIELDS:
        raise InvalidInput("item_fields", len(names), f"at most {MOST_ITEM_FIELDS} names")
    return tuple(dict.fromkeys(names))


def _known(field: str, number: int, words: Mapping[Any, T]) -> T:
    """Return the word behind a number of an enum. Raises InvalidInput where there is none."""
    if number not in words:
        raise InvalidInput(field, number, "a value of the enum that this server knows")
    return words[number]


def _placement(name: str, field: str) -> str:
    check_id(field, name)
    return name


def _limit(page_size: int, field: str) -> int:
    if page_size < 0:
        raise InvalidInput(field, page_size, f"0 or more; above {MOST_ITEMS} means {MOST_ITEMS}")
    return min(page_size, MOST_ITEMS)


def _filter(text: str, field: str) -> str:
    if len(text) > MOST_FILTER:
        raise InvalidInput(field, text[:64], f"at most {MOST_FILTER:,} characters")
    return text


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


def _degraded_reason(degraded: str) -> pb.DegradedReason.ValueType:
    return DEGRADED_NUMBERS.get(degraded, pb.DEGRADED_REASON_UNSPECIFIED)


def _encode_list(slot: pb.Slot, answer: Recommendation) -> pb.SlotList:
    return pb.SlotList(
        name=slot.name,
        placement=answer.placement,
        items=[_encode_item(item) for item in answer.items],
        tier=TIER_NUMBERS[answer.tier],
        attribution_token=answer.attribution_token,
        fill_report=_encode_fill(answer.fill),
    )


def _encode_fill(fill: FillReport | None) -> pb.FillReport | None:
    if fill is None:
        return None
    return pb.FillReport(
        wanted_count=fill.wanted,
        eligible_count=fill.eligible,
        returned_count=fill.returned,
        fallback_count=fill.from_fallback,
        on_page_count=fill.on_page,
        removed=[
            pb.RemovedByFilter(filter=one.name, item_count=one.n_items) for one in fill.removed
        ],
        unmet=[pb.UnmetRule(rule=one.rule, why=one.why) for one in fill.unmet],
        irrelevant_count=fill.irrelevant,
        relevance_kept=fill.relevance_kept,
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
        reason=encode_reason(item.reason),
        fields=encode_fields(item.fields),
        title=item.title,
        rules_applied=item.rules,
        propensity=item.propensity,
    )
