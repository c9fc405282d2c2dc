from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from protos.recsys.v1 import recommendation_service_pb2 as pb
from recsys.errors import InvalidInput
from recsys.ids import ItemId
from recsys.pipeline.groupings import Group, Grouping, RecommendedGroups
from recsys.query import Reason, ReasonCode, Recommendation, RecommendedItem, Tier
from serving.api import client_codec, codec, groups_client_codec, groups_codec, page_client_codec
from serving.api.page_client_codec import Slot

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TEA = RecommendedItem(
    ItemId("tea"), "Tea", 1, 0.5, "nearest", Reason(ReasonCode.MATCHES_SEARCH, "Because.")
)


def test_a_question_for_groups_says_whose_list_and_which_groups() -> None:
    request = groups_client_codec.encode_groups_question(
        "home", "category", level=2, limit=5, items_per_group=4, filter="price < 9", user_id="anna"
    )

    query, grouping = groups_codec.decode_groups_question(request, now=NOW)

    assert (query.placement, query.user_id, query.filter) == ("home", "anna", "price < 9")
    assert grouping == Grouping("category", 2, n_groups=5, n_items=4)


def test_what_is_not_said_of_groups_has_its_default_and_too_much_means_the_most() -> None:
    plain = pb.RecommendGroupsRequest(placement="home", group_by="brand")
    greedy = pb.RecommendGroupsRequest(
        placement="home", group_by="brand", page_size=999, items_per_group=999
    )

    groupings = [groups_codec.decode_groups_question(one, now=NOW)[1] for one in (plain, greedy)]

    assert groupings == [Grouping("brand", 0, 10, 3), Grouping("brand", 0, 100, 50)]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"group_by": ""}, "group_by"),
        ({"placement": ""}, "placement"),
        ({"page_size": -1}, "page_size"),
        ({"items_per_group": -1}, "items_per_group"),
        ({"level": -1}, "level"),
        ({"level": 21}, "level"),
        ({"user_id": "a\n"}, "user_id"),
        ({"filter": "x" * 4_001}, "filter"),
        ({"item_fields": [f"f{place}" for place in range(30)]}, "item_fields"),
    ],
)
def test_a_question_for_groups_out_of_its_limits_names_the_field(
    fields: dict[str, Any], field: str
) -> None:
    request = pb.RecommendGroupsRequest(**{"placement": "home", "group_by": "brand"} | fields)

    with pytest.raises(InvalidInput) as caught:
        groups_codec.decode_groups_question(request, now=NOW)

    assert caught.value.field == field


def test_groups_survive_the_way_over_the_wire() -> None:
    sent = RecommendedGroups(
        (Group("Food > Bread", 1.25, (TEA,)), Group("Toys", 0.5, ())),
        *("home", Tier.PERSONAL, "v1", "token", "STATE_BEHIND"),
        personalised=False,
        missing_ids=(ItemId("ghost"),),
    )

    came = groups_client_codec.decode_groups(groups_codec.encode_groups(sent))

    assert came == sent


def test_candidates_are_asked_for_once_each_in_a_call_and_in_a_slot() -> None:
    call = client_codec.encode_query("home", candidates=["tea", "jam", "tea"])
    page = page_client_codec.encode_page([Slot("home", candidates=["tea"]), Slot("cart")])

    query = codec.decode_query(call, now=NOW)
    slots = codec.decode_page(page, now=NOW).queries

    assert query.candidates == ("tea", "jam")
    assert [one.candidates for one in slots] == [("tea",), ()]


def test_too_many_candidates_and_ids_that_are_none_are_named_by_their_path() -> None:
    many = pb.Slot(placement="home", candidate_item_ids=["tea"] * 501)
    wrong = pb.RecommendRequest(placement="home", candidate_item_ids=["tea", ""])

    with pytest.raises(InvalidInput) as of_slot:
        codec.decode_page(pb.RecommendPageRequest(slots=[many]), now=NOW)
    with pytest.raises(InvalidInput) as of_call:
        codec.decode_query(wrong, now=NOW)

    assert of_slot.value.field == "slots[0].candidate_item_ids"
    assert of_call.value.field == "candidate_item_ids[1]"


def test_what_a_list_is_about_survives_the_way_over_the_wire() -> None:
    sent = Recommendation((TEA,), "home", Tier.PERSONAL, "v1", "token", about=(ItemId("milk"),))
    slots = [Slot("home")]

    alone = client_codec.decode_recommendation(codec.encode_recommendation(sent))
    request = page_client_codec.encode_page(slots)
    page = page_client_codec.decode_page(slots, codec.encode_page(request, [sent]))

    assert alone.about == page.lists[0].about == ("milk",)


def test_a_page_tells_what_is_missing_of_all_its_slots_once() -> None:
    first, second = (
        Recommendation((), "home", Tier.POPULAR, "v1", "token", missing_ids=tuple(map(ItemId, ids)))
        for ids in (("ghost", "elf"), ("ghost", "orc"))
    )
    slots = [Slot("home"), Slot("home")]

    response = codec.encode_page(page_client_codec.encode_page(slots), [first, second])

    assert list(response.missing_ids) == ["ghost", "elf", "orc"]
