from __future__ import annotations

from recsys.events import EventType
from recsys.ids import ItemId
from recsys.models.blend import Blend
from recsys.pipeline.compile import compile_placement, compile_placements
from recsys.pipeline.placement import parse_placements
from recsys.query import Query
from recsys.state import UserState
from tests import shop

PIPELINES = compile_placements(parse_placements(shop.PLACEMENTS), shop.bundle())


def _listed(state: UserState, query: Query) -> list[str]:
    return shop.names(PIPELINES[query.placement].run(shop.contexts([state], [query])).rows)


def test_who_is_unknown_gets_the_best_sellers_and_never_what_is_sold_out() -> None:
    everything = _listed(UserState.unknown(), shop.query(limit=500))

    assert everything == [item for item in shop.ITEMS if item != shop.SOLD_OUT]


def test_staples_come_first_and_then_what_goes_with_them() -> None:
    assert _listed(shop.bought("bread"), shop.query()) == ["bread", "butter", "jam", "coffee"]


def test_what_was_bought_today_is_not_offered_at_once() -> None:
    assert "bread" not in _listed(shop.bought("bread", days=0.01), shop.query(limit=9))


def test_a_hidden_item_is_gone_until_it_is_liked_again() -> None:
    hidden = shop.state((EventType.PURCHASE, "bread", 9.0), (EventType.HIDE, "bread", 2.0))
    liked = shop.state((EventType.HIDE, "bread", 2.0), (EventType.LIKE, "bread", 1.0))

    assert "bread" not in _listed(hidden, shop.query(limit=9))
    assert "bread" in _listed(liked, shop.query(limit=9))


def test_seeds_and_exclusions_are_not_in_the_list() -> None:
    asked = shop.query("product", seeds=(ItemId("milk"),), excluded=(ItemId("coffee"),))

    assert _listed(UserState.unknown(), asked) == ["sugar", "bread", "butter"]


def test_discovery_offers_nothing_ever_bought() -> None:
    listed = _listed(shop.bought("bread", "butter", days=300.0), shop.query("email", limit=9))

    assert not {"bread", "butter"} & set(listed)


def test_one_of_each_category_comes_first_and_the_rest_fill_the_list() -> None:
    listed = _listed(UserState.unknown(), shop.query("email", limit=9))

    categories = [shop.CATEGORIES[shop.ROW[item]] for item in listed]
    assert len(listed) == 9
    assert len(set(categories[:5])) == 5


def test_a_source_that_counts_nothing_is_not_asked_but_popular_still_fills() -> None:
    weights = {"buy_again": 1.0, "nearest": 0.0, "similar_to_history": 0.0, "popular": 0.0}
    bundle = shop.bundle(blends={"home": Blend(weights)})
    config = parse_placements(shop.PLACEMENTS)["home"]

    served = compile_placement("home", config, bundle)

    assert served.source_names == ("buy_again", "popular")
    assert len(served.run(shop.contexts([shop.bought("jam")])).rows) == 4
    assert len(compile_placement("home", config, bundle, idle=True).sources) == 4
