from __future__ import annotations

from datetime import UTC, datetime

import pytest

from protos.recsys.v1 import recommendation_service_pb2 as pb
from recsys.errors import InvalidInput
from recsys.events import EventType
from recsys.ids import ItemId
from recsys.query import (
    Contribution,
    ItemField,
    Page,
    Query,
    Reason,
    ReasonCode,
    Recommendation,
    RecommendedItem,
    Tier,
)
from recsys.why.explanation import (
    Compared,
    Explanation,
    Finding,
    FindingCode,
    LastItem,
    Proposal,
    Ranking,
    Refusal,
)
from serving.api import client_codec, codec, explain_client_codec, explain_codec

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
REASON = Reason(
    ReasonCode.DUE_AGAIN,
    "You will probably need this again about 4 March",
    (ItemId("tea"),),
    EventType.PURCHASE,
    datetime(2026, 3, 4, tzinfo=UTC),
    2.5,
    (Contribution("buy_again", 0.75), Contribution("popular", 0.25)),
)


def test_reason_and_fields_survive_the_way_over_the_wire() -> None:
    fields = (ItemField("brand", "Acme"), ItemField("price", 2.5), ItemField("color", ("a", "b")))
    item = RecommendedItem(ItemId("tea"), "Tea", 1, 0.5, "buy_again", REASON, fields)
    sent = Recommendation((item,), "home", Tier.PERSONAL, "v1", "token")

    received = client_codec.decode_recommendation(codec.encode_recommendation(sent))

    assert received.items == sent.items


@pytest.mark.parametrize("code", FindingCode)
def test_explanation_survives_the_way_over_the_wire(code: FindingCode) -> None:
    sent = Explanation(
        item_id=ItemId("tea"),
        placement="home",
        cause=code,
        findings=(Finding(code, "It is so."), Finding(FindingCode.RANKED, "It ranks.")),
        shown_id="green tea",
        position=3,
        refusals=(Refusal("price < 2", (Compared("price", "2.5"),)), Refusal("not_hidden")),
        proposals=(Proposal("nearest", 12, 10, False, 0.5), Proposal("popular", 1, 5, True, 2.0)),
        ranking=Ranking(4, 20, 0.25, (Contribution("nearest", 1.0),)),
        reason=REASON,
        rules=("spring",),
        last=LastItem(ItemId("jam"), "Jam", 4, 0.125),
        tier=Tier.SESSION,
        bundle_version="v1",
        personalised=False,
        degraded="STATE_BEHIND",
    )

    received = explain_client_codec.decode_explanation(explain_codec.encode_explanation(sent))

    assert received == sent


def test_explanation_of_an_unknown_item_has_nothing_that_was_not_said() -> None:
    sent = Explanation(ItemId("x"), "home", FindingCode.UNKNOWN_ITEM, ())

    received = explain_client_codec.decode_explanation(explain_codec.encode_explanation(sent))

    assert received == sent
    assert (received.ranking, received.reason, received.last) == (None, None, None)


def test_question_names_the_list_and_the_item() -> None:
    request = explain_client_codec.encode_question(
        "home", "tea", user_id="ann", seeds=["jam"], language="da"
    )

    page, item = explain_codec.decode_question(request, now=NOW)

    query = Query("home", NOW, "ann", seeds=(ItemId("jam"),), language="da")
    assert (page, item) == (Page((query,)), "tea")


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.ExplainRequest(item_id="tea"), "placement"),
        (pb.ExplainRequest(request=pb.RecommendRequest(placement="home")), "item_id"),
    ],
)
def test_question_about_nothing_is_refused(request_: pb.ExplainRequest, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        explain_codec.decode_question(request_, now=NOW)

    assert caught.value.field == field


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.RecommendRequest(placement="home", language="da_DK"), "language"),
        (pb.RecommendRequest(placement="home", item_fields=["a"] * 31), "item_fields"),
    ],
)
def test_language_that_is_none_and_too_many_fields_are_refused(
    request_: pb.RecommendRequest, field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        codec.decode_query(request_, now=NOW)

    assert caught.value.field == field
