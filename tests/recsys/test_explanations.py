from __future__ import annotations

from recsys.events import EventType
from recsys.explanations import reasons
from recsys.ids import ItemId
from recsys.pipeline.compile import compile_placements
from recsys.pipeline.placement import parse_placements
from recsys.query import Query, Reason, ReasonCode
from recsys.state import UserState
from tests import shop

PIPELINES = compile_placements(parse_placements(shop.PLACEMENTS), shop.bundle())


def _reasons(state: UserState, query: Query) -> dict[str, Reason]:
    contexts = shop.contexts([state], [query])
    pipeline = PIPELINES[query.placement]
    listed = pipeline.run(contexts)
    found = reasons(pipeline, contexts, listed, shop.catalog())
    return dict(zip(shop.names(listed.rows), found, strict=True))


def test_a_repurchase_says_how_often_it_was_bought() -> None:
    why = _reasons(shop.bought("bread", "bread", "bread"), shop.query())

    assert why["bread"] == Reason(
        ReasonCode.BOUGHT_BEFORE, "You have bought this 3 times", (ItemId("bread"),)
    )


def test_a_neighbour_of_a_seed_names_the_seed() -> None:
    why = _reasons(UserState.unknown(), shop.query("product", seeds=(ItemId("milk"),)))

    assert why["coffee"] == Reason(
        ReasonCode.SIMILAR_TO_SEED, "Often bought together with Milk", (ItemId("milk"),)
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
