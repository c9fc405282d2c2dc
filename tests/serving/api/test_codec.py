from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from protos.recsys.v1 import recommendation_service_pb2 as pb
from recsys.errors import InvalidInput
from recsys.events import Channel
from recsys.fill_report import FillReport, Removed
from recsys.ids import ItemId
from recsys.query import (
    Page,
    PageType,
    Query,
    Reason,
    ReasonCode,
    Recommendation,
    RecommendedItem,
    Scene,
    Tier,
)
from serving.api import client_codec, codec, page_client_codec
from serving.api.page_client_codec import Slot

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_full_request_becomes_the_query_it_says() -> None:
    request = pb.RecommendRequest(
        placement="home",
        user_id="ann",
        visitor_id="v",
        session_id="s",
        seed_item_ids=["bread"],
        excluded_item_ids=["milk", "tea"],
        page_size=7,
    )

    query = codec.decode_query(request, now=NOW)

    assert query == Query(
        "home", NOW, "ann", "v", "s", (ItemId("bread"),), (ItemId("milk"), ItemId("tea")), 7
    )


@pytest.mark.parametrize(("page_size", "limit"), [(0, 0), (500, 500), (501, 500), (2**31 - 1, 500)])
def test_page_size_above_the_maximum_means_the_maximum(page_size: int, limit: int) -> None:
    request = pb.RecommendRequest(placement="home", page_size=page_size)

    assert codec.decode_query(request, now=NOW).limit == limit


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.RecommendRequest(), "placement"),
        (pb.RecommendRequest(placement="ho\nme"), "placement"),
        (pb.RecommendRequest(placement="home", page_size=-1), "page_size"),
        (pb.RecommendRequest(placement="home", user_id="x" * 129), "user_id"),
        (pb.RecommendRequest(placement="home", user_id="ü" * 65), "user_id"),
        (pb.RecommendRequest(placement="home", visitor_id="a\x00b"), "visitor_id"),
        (pb.RecommendRequest(placement="home", session_id="\u202e"), "session_id"),
        (pb.RecommendRequest(placement="home", seed_item_ids=["a"] * 51), "seed_item_ids"),
        (pb.RecommendRequest(placement="home", seed_item_ids=["a", ""]), "seed_item_ids[1]"),
        (
            pb.RecommendRequest(placement="home", excluded_item_ids=["a"] * 1_001),
            "excluded_item_ids",
        ),
    ],
)
def test_field_out_of_its_limits_is_named_in_the_error(
    request_: pb.RecommendRequest, field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        codec.decode_query(request_, now=NOW)

    assert caught.value.field == field


def test_lists_at_their_limits_are_accepted() -> None:
    request = pb.RecommendRequest(
        placement="home", seed_item_ids=["a"] * 50, excluded_item_ids=["b" * 128] * 1_000
    )

    query = codec.decode_query(request, now=NOW)

    assert (len(query.seeds), len(query.excluded)) == (50, 1_000)


@pytest.mark.parametrize("tier", Tier)
@pytest.mark.parametrize("degraded", ["", "STATE_UNAVAILABLE"])
def test_recommendation_survives_the_way_over_the_wire(tier: Tier, degraded: str) -> None:
    sent = Recommendation(
        items=tuple(
            RecommendedItem(
                ItemId(code.value),
                "Title",
                place,
                0.5,
                "nearest",
                Reason(code, "Because.", (ItemId("tea"),)),
            )
            for place, code in enumerate(ReasonCode, start=1)
        ),
        placement="home",
        tier=tier,
        bundle_version="v1",
        attribution_token="token",
        degraded=degraded,
        missing_ids=(ItemId("gone"),),
    )

    received = client_codec.decode_recommendation(codec.encode_recommendation(sent))

    assert received == sent


def test_degradation_without_a_number_is_still_said() -> None:
    sent = Recommendation((), "home", Tier.POPULAR, "v1", "", degraded="SOMETHING_NEW")

    response = codec.encode_recommendation(sent)

    assert response.degraded
    assert response.degraded_reason == pb.DEGRADED_REASON_UNSPECIFIED


ASKER = {
    "user_id": "ann",
    "visitor_id": "v",
    "session_id": "s",
    "seeds": ["bread"],
    "cart": ["milk"],
    "excluded": ["tea"],
    "market": "DE",
    "page_type": "cart",
    "category": "Grocery > Bread",
    "search": "rye",
    "channel": "app",
    "device": "phone",
}
SCENE = Scene(PageType.CART, (ItemId("milk"),), "Grocery > Bread", "rye", Channel.APP, "phone")


HOME = pb.Slot(placement="home")


def paged(**fields: Any) -> pb.RecommendPageRequest:
    """Return the request of a page with one slot that has these fields."""
    return pb.RecommendPageRequest(slots=[pb.Slot(placement="home", **fields)])


def test_page_of_a_client_becomes_the_page_it_says() -> None:
    slots = [Slot("home", "top", 3, "price < 20"), Slot("product")]

    page = codec.decode_page(page_client_codec.encode_page(slots, **ASKER), now=NOW)  # type: ignore[arg-type]

    asked = Query(
        "home",
        NOW,
        "ann",
        "v",
        "s",
        (ItemId("bread"),),
        (ItemId("tea"),),
        3,
        "DE",
        "price < 20",
        SCENE,
    )
    other = replace(asked, placement="product", limit=0, filter="")
    assert page == Page((asked, other), slotted=True)


def test_one_list_of_a_client_knows_the_page_it_is_for() -> None:
    request = client_codec.encode_query("home", limit=3, filter="price < 20", **ASKER)  # type: ignore[arg-type]

    query = codec.decode_query(request, now=NOW)

    assert (query.scene, query.filter, query.limit) == (SCENE, "price < 20", 3)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.RecommendPageRequest(), "slots"),
        (pb.RecommendPageRequest(slots=[HOME] * 21), "slots"),
        (pb.RecommendPageRequest(slots=[HOME, pb.Slot()]), "slots[1].placement"),
        (paged(page_size=-1), "slots[0].page_size"),
        (paged(name="x" * 65), "slots[0].name"),
        (paged(filter="x" * 4_001), "slots[0].filter"),
        (pb.RecommendPageRequest(slots=[HOME], device="x" * 65), "device"),
        (pb.RecommendPageRequest(slots=[HOME], category="x" * 1_001), "category"),
        (pb.RecommendPageRequest(slots=[HOME], search_query="x" * 501), "search_query"),
        (pb.RecommendPageRequest(slots=[HOME], cart_item_ids=["a"] * 201), "cart_item_ids"),
        (pb.RecommendPageRequest(slots=[HOME], page_type=99), "page_type"),  # type: ignore[arg-type]
        (pb.RecommendPageRequest(slots=[HOME], channel=99), "channel"),  # type: ignore[arg-type]
    ],
)
def test_field_of_a_page_out_of_its_limits_is_named_by_its_path(
    request_: pb.RecommendPageRequest, field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        codec.decode_page(request_, now=NOW)

    assert caught.value.field == field


def test_lists_of_a_page_reach_the_client_under_the_names_of_their_slots() -> None:
    slots = [Slot("home", "top"), Slot("product")]
    fill = FillReport(5, 4, 1, 1, 2, (Removed("available", 3),))
    home = Recommendation(
        *((), "home", Tier.PERSONAL, "v1", "t1", "STATE_BEHIND"),
        personalised=False,
        missing_ids=(ItemId("x"),),
        fill=fill,
    )
    lists = [home, replace(home, placement="product", tier=Tier.POPULAR, attribution_token="t2")]
    request = page_client_codec.encode_page(slots)

    page = page_client_codec.decode_page(slots, codec.encode_page(request, lists))

    assert list(page) == lists
    assert (page["top"], page["product"]) == (lists[0], lists[1])
    with pytest.raises(KeyError):
        page["home"]
