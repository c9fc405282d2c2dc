from __future__ import annotations

from datetime import UTC, datetime

import pytest

from protos.recsys.v1 import recommendation_service_pb2 as pb
from recsys.errors import InvalidInput
from recsys.ids import ItemId
from recsys.query import Query, Reason, ReasonCode, Recommendation, RecommendedItem, Tier
from serving.api import client_codec, codec

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
