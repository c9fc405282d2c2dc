from __future__ import annotations

from datetime import UTC, datetime

import pytest

from protos.recsys.v1 import recommendation_service_pb2 as pb
from recsys.errors import InvalidInput
from recsys.fill_report import FillReport
from recsys.ids import ItemId
from recsys.query import Reason, ReasonCode, Recommendation, RecommendedItem, Selection, Tier
from serving.api import client_codec, codec, page_client_codec
from serving.api.page_client_codec import Slot

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_what_a_call_says_of_selection_is_asked_for_and_zero_is_no_silence() -> None:
    request = client_codec.encode_query("home", diversity=0.5, rotation_rate=0.0)

    query = codec.decode_query(request, now=NOW)

    assert query.selection == Selection(diversity=0.5, rotation_rate=0.0, min_relevance=None)


def test_each_slot_says_for_itself_how_its_list_is_chosen() -> None:
    request = page_client_codec.encode_page(
        [Slot("home", min_relevance=0.25), Slot("product", diversity=1.0)]
    )

    page = codec.decode_page(request, now=NOW)

    assert [query.selection for query in page.queries] == [
        Selection(min_relevance=0.25),
        Selection(diversity=1.0),
    ]


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), float("inf")])
@pytest.mark.parametrize("knob", ["diversity", "rotation_rate", "min_relevance"])
def test_a_share_outside_its_limits_is_named_by_its_path(knob: str, value: float) -> None:
    slot = pb.Slot(placement="home")
    setattr(slot, knob, value)
    request = pb.RecommendPageRequest(slots=[pb.Slot(placement="home"), slot])

    with pytest.raises(InvalidInput) as caught:
        codec.decode_page(request, now=NOW)

    assert caught.value.field == f"slots[1].{knob}"


def test_propensities_and_what_selection_cost_survive_the_way_over_the_wire() -> None:
    items = tuple(
        RecommendedItem(
            *(ItemId(name), name.title(), place, 0.5, "nearest"),
            Reason(ReasonCode.LIKE_YOUR_TASTE, "Because."),
            propensity=chance,
        )
        for place, (name, chance) in enumerate({"tea": 1.0, "jam": 0.125}.items(), start=1)
    )
    fill = FillReport(5, 4, 2, irrelevant=3, relevance_kept=0.75)
    sent = Recommendation(items, "home", Tier.POPULAR, "v1", "token", fill=fill)

    received = client_codec.decode_recommendation(codec.encode_recommendation(sent))

    assert received == sent


def test_a_server_that_tells_no_propensity_left_nothing_to_chance() -> None:
    response = pb.RecommendResponse(
        items=[pb.RecommendedItem(item_id="tea")], fill_report=pb.FillReport(wanted_count=1)
    )

    received = client_codec.decode_recommendation(response)

    assert received.items[0].propensity == 1.0
    assert received.fill is not None
    assert received.fill.relevance_kept == 1.0
