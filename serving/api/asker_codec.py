"""Who asks, when and where: what all requests for lists have in common, with its checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

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
    Query,
    Scene,
)
from serving.api.names import CHANNELS, PAGE_TYPES

T = TypeVar("T")

MOST_NAME = 64
"""Longest name of a slot or a kind of device, in bytes."""
_MOST_SEARCH = 500

AnyRequest = pb.RecommendRequest | pb.RecommendPageRequest | pb.RecommendGroupsRequest


def decode_asker(request: AnyRequest, now: datetime) -> Query:
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
        seeds=decode_ids("seed_item_ids", request.seed_item_ids, MOST_SEEDS),
        excluded=decode_ids("excluded_item_ids", request.excluded_item_ids, MOST_EXCLUDED),
        market=request.market,
        scene=_scene(request),
        language=_language(request.language),
        item_fields=_field_names(request.item_fields),
    )


def _scene(request: AnyRequest) -> Scene:
    if request.device:
        check_text("device", request.device, MOST_NAME)
    for name, most in (("category", MOST_CHARACTERS["category"]), ("search_query", _MOST_SEARCH)):
        if len(getattr(request, name)) > most:
            raise InvalidInput(name, getattr(request, name)[:64], f"at most {most} characters")
    return Scene(
        page_type=_known("page_type", request.page_type, PAGE_TYPES),
        cart=decode_ids("cart_item_ids", request.cart_item_ids, MOST_IN_CART),
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


def decode_placement(name: str, field: str) -> str:
    """Return the name of a placement. Raises InvalidInput where it can be none."""
    check_id(field, name)
    return name


def decode_limit(page_size: int, field: str) -> int:
    """Return the most items to give; 0 where that is not said. Raises InvalidInput below 0."""
    if page_size < 0:
        raise InvalidInput(field, page_size, f"0 or more; above {MOST_ITEMS} means {MOST_ITEMS}")
    return min(page_size, MOST_ITEMS)


def decode_filter(text: str, field: str) -> str:
    """Return the text of a filter. Raises InvalidInput where it is too long."""
    if len(text) > MOST_FILTER:
        raise InvalidInput(field, text[:64], f"at most {MOST_FILTER:,} characters")
    return text


def decode_ids(field: str, ids: Sequence[str], most: int) -> tuple[ItemId, ...]:
    """Return ids of items. Raises InvalidInput for too many, or the first that is none."""
    if len(ids) > most:
        raise InvalidInput(field, len(ids), f"at most {most:,} ids")
    for place, item_id in enumerate(ids):
        check_id(f"{field}[{place}]", item_id)
    return tuple(ItemId(item_id) for item_id in ids)
