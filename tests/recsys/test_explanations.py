from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from recsys.anchors import events_with, of_bought_brands
from recsys.events import EventType
from recsys.explanations import reasons, reworded
from recsys.ids import ItemId
from recsys.languages.reading import shipped
from recsys.pipeline.compile import compile_placements
from recsys.pipeline.placement import parse_placements
from recsys.query import Query, Reason, ReasonCode
from recsys.shares import main_sources
from recsys.state import UserState
from tests import shop

SIMILAR = """
[placements.similar]
situation = "visit"
size = 3
sources = [{ kind = "similar_to_history", k = 9 }]
"""
EVERYTHING = """
[placements.home]
situation = "visit"
size = 10
sources = [{ kind = "buy_again", k = 10 }, { kind = "popular", k = 10 }]
"""
PIPELINES = compile_placements(parse_placements(shop.PLACEMENTS), shop.bundle())


def _reasons(state: UserState, query: Query) -> dict[str, Reason]:
    contexts = shop.contexts([state], [query])
    pipeline = PIPELINES[query.placement]
    listed = pipeline.run(contexts)
    found = reasons(pipeline, contexts, listed, shop.catalog())
    return dict(zip(shop.names(listed.rows), found, strict=True))


def _told(reason: Reason) -> tuple[ReasonCode, str, tuple[str, ...]]:
    return reason.code, reason.text, reason.anchors


def test_a_repurchase_says_how_often_it_was_bought() -> None:
    why = _reasons(shop.bought("bread", "bread", "bread"), shop.query())

    assert _told(why["bread"]) == (
        ReasonCode.BOUGHT_BEFORE,
        "You have bought this 3 times",
        ("bread",),
    )


def test_a_neighbour_of_a_seed_names_the_seed() -> None:
    why = _reasons(UserState.unknown(), shop.query("product", seeds=(ItemId("milk"),)))

    assert _told(why["coffee"]) == (
        ReasonCode.BOUGHT_TOGETHER,
        "Often bought together with Milk",
        ("milk",),
    )


def test_an_item_the_customer_looked_at_says_so_and_not_because_of_itself() -> None:
    why = _reasons(shop.state((EventType.DETAIL_VIEW, "soap", 1.0)), shop.query())

    assert why["soap"].code is ReasonCode.SEEN_BEFORE


def test_who_is_unknown_is_shown_what_is_popular_and_told_so() -> None:
    why = _reasons(UserState.unknown(), shop.query())

    assert {reason.code for reason in why.values()} == {ReasonCode.POPULAR}
    assert all(not reason.anchors for reason in why.values())


def test_without_the_named_anchor_the_item_falls() -> None:
    with_it = _reasons(shop.bought("bread", "coffee"), shop.query("home", limit=9))
    anchor = with_it["butter"].anchors[0]

    without = _reasons(shop.bought("coffee"), shop.query("home", limit=9))

    assert anchor == "bread"
    assert list(with_it).index("butter") < list(without).index("butter")


def _bought_often(*days: float) -> UserState:
    return shop.state(*((EventType.PURCHASE, "bread", day) for day in days))


@pytest.mark.parametrize(
    ("days", "text", "due_in"),
    [
        ((6.0, 16.0, 26.0), "You will probably need this again about 26 November", 4),
        (
            (14.0, 24.0, 34.0),
            "It may be time for this again: you would usually have bought it about 18 November",
            -4,
        ),
    ],
)
def test_a_regular_purchase_says_when_it_is_due_and_how_much_is_usual(
    days: tuple[float, ...], text: str, due_in: int
) -> None:
    why = _reasons(_bought_often(*days), shop.query())

    assert _told(why["bread"]) == (ReasonCode.DUE_AGAIN, text, ("bread",))
    assert why["bread"].due == shop.NOW + timedelta(days=due_in)
    assert why["bread"].usual_quantity == 1.0


def test_a_purchase_that_is_far_from_due_says_how_often_it_was_bought() -> None:
    why = _reasons(_bought_often(2.0, 12.0, 22.0), shop.query())

    assert why["bread"].code is ReasonCode.BOUGHT_BEFORE
    assert why["bread"].due == shop.NOW + timedelta(days=8)


def test_a_habit_that_is_over_is_not_due() -> None:
    why = _reasons(_bought_often(40.0, 50.0, 60.0), shop.query())

    assert (why["bread"].code, why["bread"].due) == (ReasonCode.BOUGHT_BEFORE, None)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (EventType.PURCHASE, "Because you bought Bread"),
        (EventType.DETAIL_VIEW, "Because you looked at Bread"),
        (EventType.CLICK, "Because you looked at Bread"),
        (EventType.ADD_TO_CART, "Because you put Bread into the cart"),
        (EventType.ADD_TO_WISHLIST, "Because Bread is on your wish list"),
        (EventType.LIKE, "Because you like Bread"),
    ],
)
def test_a_neighbour_of_the_history_says_what_was_done_with_it(kind: EventType, text: str) -> None:
    pipeline = compile_placements(parse_placements(SIMILAR), shop.bundle())
    contexts = shop.contexts([shop.state((kind, "bread", 9.0))], [shop.query("similar")])
    listed = pipeline["similar"].run(contexts)

    why = reasons(pipeline["similar"], contexts, listed, shop.catalog())

    assert {(one.code, one.text, one.anchor_event) for one in why} == {
        (ReasonCode.SIMILAR_TO_HISTORY, text, kind)
    }


def test_what_was_bought_counts_for_more_than_that_it_was_looked_at() -> None:
    state = shop.state((EventType.DETAIL_VIEW, "bread", 1.0), (EventType.PURCHASE, "bread", 9.0))
    contexts = shop.contexts([state])
    bread = np.array([shop.ROW["bread"]], dtype=np.int32)

    assert events_with(contexts, np.zeros(1, dtype=np.int32), bread) == [EventType.PURCHASE]


def test_reasons_are_in_the_language_of_each_query() -> None:
    queries = [shop.query(language=tag) for tag in ("da-DK", "en", "")]
    contexts = shop.contexts([UserState.unknown()] * 3, queries)
    listed = PIPELINES["home"].run(contexts)

    found = reasons(PIPELINES["home"], contexts, listed, shop.catalog())

    texts = [{why.text for why in found[4 * n : 4 * n + 4]} for n in range(3)]
    assert texts[0] == {"Populær blandt andre kunder lige nu"}
    assert texts[1] == texts[2] == {"Popular with other customers right now"}


def test_contributions_add_up_to_one_and_begin_with_the_source_that_is_named() -> None:
    contexts = shop.contexts([shop.bought("bread", "coffee")])
    pipeline = PIPELINES["home"]
    listed = pipeline.run(contexts)

    found = reasons(pipeline, contexts, listed, shop.catalog())

    main = main_sources(pipeline, listed).tolist()
    for reason, place in zip(found, main, strict=True):
        shares = [one.share for one in reason.contributions]
        assert sum(shares) == pytest.approx(1.0)
        assert shares == sorted(shares, reverse=True)
        assert reason.contributions[0].source == pipeline.source_names[place]


def test_an_item_that_no_source_values_is_said_to_be_popular_and_not_bought() -> None:
    # Cake is what nobody buys: popularity proposes it, with nothing to say of it.
    pipeline = compile_placements(parse_placements(EVERYTHING), shop.bundle())["home"]
    contexts = shop.contexts([shop.bought("bread")])
    listed = pipeline.run(contexts)

    found = dict(
        zip(
            shop.names(listed.rows),
            reasons(pipeline, contexts, listed, shop.catalog()),
            strict=True,
        )
    )

    assert found["cake"].code is ReasonCode.POPULAR
    assert [one.source for one in found["cake"].contributions] == ["popular"]


def test_a_new_item_of_a_brand_that_was_bought_names_the_brand() -> None:
    brands = np.array([1, 2, 1, 0, 0, 0, 0, 0, 0, 0], dtype=np.int32)
    # Coffee and milk have no brand, which is none in common.
    contexts = shop.contexts([shop.bought("bread", "coffee"), UserState.unknown()])
    queries, rows = np.array([0, 0, 0, 1], np.int32), np.array([2, 1, 4, 2], np.int32)

    known = of_bought_brands(contexts, brands, queries, rows)

    assert known.tolist() == [True, False, False, False]


def test_reason_that_the_shop_gives_names_no_item_of_the_asker() -> None:
    why = _reasons(shop.bought("bread"), shop.query())["bread"]

    picked = reworded(why, ReasonCode.PICKED, shipped().of("da"))

    assert _told(picked) == (ReasonCode.PICKED, "Udvalgt af butikken", ())
    assert picked.contributions == why.contributions
