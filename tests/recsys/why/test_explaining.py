from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from recsys.events import EventType
from recsys.ids import ItemId
from recsys.items import Offer
from recsys.query import ReasonCode, Tier
from recsys.rules.rule import Rule, RuleKind
from recsys.why.explanation import Compared, FindingCode, Refusal
from tests import shop
from tests.recsys.why.asking import HOME, Asked, codes

HOUR = timedelta(hours=1)
AGAIN = """
[placements.again]
situation = "visit"
size = 2
filters = [{ kind = "available" }]
sources = [{ kind = "buy_again", k = 10 }]
fallback = "home"
"""
VARIED = HOME + 'selector = { kind = "varied", per_category = 1 }\n'
IN_AT = {"offers": (Offer(market="AT", price=1.0),)}

KEPT_OUT = [
    (Asked(changes={"bread": None}), FindingCode.NOT_DESCRIBED),
    (Asked(changes={"bread": {"hidden": True}}), FindingCode.HIDDEN),
    (Asked(changes={"bread": {"stock": 0.0}}), FindingCode.SOLD_OUT),
    (Asked(changes={"bread": {"available": False}}), FindingCode.NOT_AVAILABLE),
    (Asked(changes={"bread": {"available_from": shop.NOW + HOUR}}), FindingCode.NOT_YET_SOLD),
    (Asked(changes={"bread": {"expires": shop.NOW - HOUR}}), FindingCode.NO_LONGER_SOLD),
    (Asked(shop.query(market="DE"), changes={"bread": IN_AT}), FindingCode.OTHER_MARKETS),
    (Asked(shop.query(excluded=(ItemId("bread"),))), FindingCode.EXCLUDED),
    (Asked(shop.query(filter="price > 5")), FindingCode.REFUSED),
    (Asked(shop.query(seeds=(ItemId("bread"),))), FindingCode.REFUSED),
    (Asked(state=shop.bought("bread", days=0.5)), FindingCode.REFUSED),
    (Asked(state=shop.state((EventType.HIDE, "bread", 3.0))), FindingCode.REFUSED),
]
MENDED = [
    Asked(),
    Asked(changes={"bread": {"hidden": False}}),
    Asked(changes={"bread": {"stock": 1.0}}),
    Asked(changes={"bread": {"available": True}}),
    Asked(changes={"bread": {"available_from": shop.NOW}}),
    Asked(changes={"bread": {"expires": shop.NOW + HOUR}}),
    Asked(shop.query(market="AT"), changes={"bread": IN_AT}),
    Asked(shop.query(excluded=(ItemId("jam"),))),
    Asked(shop.query(filter="price > 0")),
    Asked(shop.query(seeds=(ItemId("tea"),))),
    Asked(state=shop.bought("bread", days=1.5)),
    Asked(state=shop.state((EventType.HIDE, "bread", 3.0), (EventType.LIKE, "bread", 2.0))),
]


def test_listed_item_says_where_it_stands_and_why() -> None:
    found = Asked(state=shop.bought("coffee", days=2.0)).why("milk")

    assert (found.cause, found.listed, found.shown_id) == (FindingCode.LISTED, True, "milk")
    assert found.position == found.ranking.rank if found.ranking else 0
    assert found.reason is not None
    assert found.reason.anchors == ("coffee",)
    assert found.findings[-1].text == f"The item stands at place {found.position} of the list"
    assert (found.tier, found.last is not None) == (Tier.PERSONAL, True)


def test_item_that_the_release_does_not_know_is_said_to_be_unknown() -> None:
    found = Asked().why("caviar")

    assert (found.cause, found.listed) == (FindingCode.UNKNOWN_ITEM, False)
    assert [one.text for one in found.findings] == ["There is no item caviar in this release"]


@pytest.mark.parametrize(("asked", "cause"), KEPT_OUT)
def test_item_that_is_kept_out_says_by_what(asked: Asked, cause: FindingCode) -> None:
    found = asked.why("bread")

    assert (found.cause, found.position, found.proposals, found.ranking) == (cause, 0, (), None)


@pytest.mark.parametrize(
    ("broken", "mended"),
    [(asked, mended) for (asked, _), mended in zip(KEPT_OUT, MENDED, strict=True)],
)
def test_without_what_was_named_the_item_is_eligible_and_proposed(
    broken: Asked, mended: Asked
) -> None:
    cause = broken.why("bread").cause

    found = mended.why("bread")

    assert cause not in codes(found)
    assert FindingCode.PROPOSED in codes(found)
    assert found.ranking is not None


def test_every_filter_that_refuses_is_named() -> None:
    asked = Asked(shop.query(filter="price > 0 and category = 'Drinks'"))
    state = shop.state((EventType.PURCHASE, "bread", 0.5), (EventType.HIDE, "bread", 0.2))

    found = replace(asked, state=state).why("bread")

    assert [one.filter for one in found.refusals] == [
        "not_hidden",
        "not_purchased",
        'category = "Drinks"',
    ]


def test_condition_shows_the_values_that_it_compared() -> None:
    text = "price >= customer.usual_price or brand is known"

    found = Asked(shop.query(filter=text), state=shop.bought("jam")).why("bread")

    compared = (
        Compared("price", "1"),
        Compared("customer.usual_price", "3"),
        Compared("brand", ""),
    )
    assert found.refusals == (Refusal(text, compared),)
    assert found.findings[0].text == (
        f"The item does not meet {text}: price is 1, customer.usual_price is 3, brand is unknown"
    )


def test_item_further_down_than_its_sources_are_asked_says_how_far() -> None:
    found = Asked().why("tea")

    assert found.cause is FindingCode.NOT_PROPOSED
    popular = next(one for one in found.proposals if one.source == "popular")
    assert (popular.rank, popular.depth, popular.proposed) == (9, 4, False)
    assert "popular would propose the item at rank 9, but is asked for 4 items" in (
        [one.text for one in found.findings]
    )


def test_asked_deep_enough_the_source_proposes_the_item_at_the_rank_that_was_said() -> None:
    popular = next(one for one in Asked().why("tea").proposals if one.source == "popular")

    deeper = Asked(placements=HOME.replace('"popular", k = 4', f'"popular", k = {popular.rank}'))

    found = next(one for one in deeper.why("tea").proposals if one.source == "popular")
    assert (found.rank, found.proposed) == (popular.rank, True)


def test_source_that_knows_nothing_of_the_asker_does_not_find_the_item() -> None:
    found = Asked().why("bread")

    nearest = next(one for one in found.proposals if one.source == "nearest")
    assert (nearest.rank, nearest.proposed, nearest.score) == (0, False, 0.0)


def test_outranked_item_says_by_what_and_by_how_much() -> None:
    found = Asked(shop.query(limit=2)).why("jam")

    assert found.cause is FindingCode.OUTRANKED
    assert found.ranking is not None
    assert found.last is not None
    assert (found.ranking.rank, found.last.item_id, found.last.position) == (3, "butter", 2)
    assert found.ranking.score < found.last.score
    assert f"{found.last.score:.3f}" in found.findings[-1].text
    assert Asked(shop.query(limit=3)).why("jam").position == 3


def test_item_that_the_selection_passed_over_says_so_with_its_category() -> None:
    milk = Asked(shop.query(limit=5), placements=VARIED.replace("k = 4", "k = 9")).why("milk")

    assert milk.cause is FindingCode.PASSED_OVER
    assert milk.findings[-1].text == (
        "The item ranks 5, but the selection took others instead; one item of Dairy is in the list"
    )


def test_without_the_limit_of_its_category_the_item_is_in_the_list() -> None:
    placements = VARIED.replace("k = 4", "k = 9").replace("size = 4", "size = 5")
    limited = Asked(placements=placements).why("milk")

    free = Asked(placements=placements.replace("per_category = 1", "per_category = 2")).why("milk")

    assert (limited.cause, free.cause) == (FindingCode.PASSED_OVER, FindingCode.LISTED)


def test_item_that_left_for_a_newcomer_says_so() -> None:
    placements = HOME + "newcomers = { share = 0.5, days = 30, evidence = 2 }\n"
    asked = Asked(placements=placements, days=[300] * 7 + [5] * 3)

    causes = {item: asked.why(item).cause for item in ("bread", "jam", "coffee")}

    assert causes["bread"] is FindingCode.LISTED
    assert FindingCode.MADE_ROOM in causes.values()
    old = replace(asked, days=[300] * 10)
    assert {old.why(item).cause for item in causes} == {FindingCode.LISTED}


def test_item_below_the_relevance_that_is_asked_for_is_not_ranked() -> None:
    asked = Asked(placements=HOME + "min_relevance = 0.9\n")

    found = asked.why("coffee")

    assert (found.cause, found.ranking) == (FindingCode.IRRELEVANT, None)
    assert Asked().why("coffee").ranking is not None


def test_item_that_fills_up_a_list_names_the_placement_that_brought_it() -> None:
    found = Asked(shop.query("again", limit=3), placements=HOME + AGAIN).why("bread")

    assert (found.cause, found.position) == (FindingCode.FILLS_UP, 1)
    assert found.findings[-1].text.endswith("of the list, which home filled up")
    assert found.reason is not None
    assert found.reason.code is ReasonCode.FALLBACK


def test_variant_in_whose_stead_another_is_shown_names_it() -> None:
    group: dict[str, dict[str, Any] | None] = {
        "bread": {"group_id": "loaf", "stock": 0.0},
        "butter": {"group_id": "loaf"},
    }

    found = Asked(changes=group).why("bread")

    assert (found.cause, found.listed, found.shown_id) == (
        FindingCode.VARIANT_SHOWN,
        True,
        "butter",
    )
    assert "Of this product, lists show the variant Butter" in (
        [one.text for one in found.findings]
    )
    assert FindingCode.SOLD_OUT in codes(found)
    assert Asked(changes={**group, "bread": {"group_id": "loaf"}}).why("bread").cause is (
        FindingCode.LISTED
    )


def test_asker_who_refuses_is_said_to_get_the_page_alone() -> None:
    found = Asked(personalised=False).why("bread")

    assert (found.personalised, codes(found)[0]) == (False, FindingCode.UNPERSONALISED)
    assert found.cause is FindingCode.LISTED


def test_item_that_a_rule_pinned_is_picked_by_the_shop_and_names_the_rule() -> None:
    rules = [Rule("tea time", RuleKind.PIN, item="tea", position=2)]

    found = Asked(rules=rules).why("tea")

    assert (found.cause, found.position, found.rules) == (FindingCode.LISTED, 2, ("tea time",))
    assert found.reason is not None
    assert (found.reason.code, found.reason.text) == (ReasonCode.PICKED, "Picked by the shop")
    assert Asked().why("tea").cause is FindingCode.NOT_PROPOSED


def test_item_beside_those_that_rules_touched_keeps_its_own_reason() -> None:
    boost = [Rule("more jam", RuleKind.BOOST, items="title = 'Jam'", factor=1.5)]
    asked = Asked(rules=boost)

    jam, bread = asked.why("jam").reason, asked.why("bread").reason

    assert jam is not None
    assert bread is not None
    assert (jam.code, bread.code) == (ReasonCode.PICKED, ReasonCode.POPULAR)


def test_boosted_item_that_goes_with_the_asker_says_so() -> None:
    boost = [Rule("more milk", RuleKind.BOOST, items="title = 'Milk'", factor=1.5)]

    found = Asked(state=shop.bought("coffee", days=2.0), rules=boost).why("milk")

    assert found.reason is not None
    assert (found.reason.code, found.rules) == (ReasonCode.LIKE_YOUR_TASTE, ("more milk",))


def test_item_that_a_rule_excludes_names_the_rule() -> None:
    rules = [Rule("no bread", RuleKind.EXCLUDE, items="title = 'Bread'")]

    found = Asked(rules=rules).why("bread")

    assert (found.cause, [one.filter for one in found.refusals]) == (
        FindingCode.REFUSED,
        ["rule no bread"],
    )


def test_ranked_item_within_the_limit_that_was_not_selected_was_passed_over() -> None:
    trace = Asked().case("jam").trace
    assert trace is not None
    bread_alone = trace.ranked.take(np.array([0]))

    assert not trace.passed_over(3)
    assert replace(trace, selected=bread_alone).passed_over(3)
    assert not replace(trace, selected=bread_alone).passed_over(5)


def test_sentences_are_in_the_language_of_the_query() -> None:
    asked = Asked(shop.query(language="da"), changes={"bread": {"stock": 0.0}})

    assert [one.text for one in asked.why("bread").findings] == [
        "Varen er udsolgt",
        "Filteret available afviser varen",
    ]


def test_contributions_are_what_the_score_loses_without_each_source() -> None:
    asked = Asked(state=shop.bought("coffee", days=2.0))
    trace = asked.case("milk").trace
    assert trace is not None
    found = trace.ranking()
    assert found is not None
    own = trace.ranked.take(trace.ranked.rows == trace.row)

    for one in found.contributions:
        place = trace.pipeline.proposing.index(one.source)
        silent = own.signals.copy()
        silent[:, place] = 0
        without = trace.pipeline.ranker.score(trace.contexts, replace(own, signals=silent))

        assert without[0] == pytest.approx(found.score * (1 - one.share), rel=1e-5)
    assert np.isclose(sum(one.share for one in found.contributions), 1.0)
