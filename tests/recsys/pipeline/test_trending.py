"""What is trending, and popular where the asker is, in the lists of the tiny shop."""

from __future__ import annotations

import numpy as np

from recsys.arrays import keys_of
from recsys.candidates import Candidates
from recsys.context import Contexts
from recsys.ids import ItemId
from recsys.models.blend import Blend
from recsys.models.trends import NO_TRENDS, Activity, Trends
from recsys.pipeline.compile import compile_placement, conditions_of
from recsys.pipeline.pipeline import Pipeline
from recsys.pipeline.placement import parse_placements
from recsys.pipeline.tiers import tiers_of
from recsys.query import Query, Scene, Tier
from recsys.state import UserState
from tests import shop

FIELDS = """
size = 3
filters = [{ kind = "available" }, { kind = "not_hidden" }]
"""
PLACEMENTS = parse_placements(
    f"""
[placements.trending]
{FIELDS}
sources = [{{ kind = "trending", k = 10 }}]

[placements.there]
{FIELDS}
sources = [{{ kind = "popular", k = 10 }}]

[placements.category]
{FIELDS}
filter = "category under context.category"
sources = [{{ kind = "trending", k = 10 }}]
"""
)
BUNDLE = shop.bundle(blends={"trending": Blend({"trending": 0.0})})
CONDITIONS = conditions_of(BUNDLE)
SEARCHED = "title contains context.query"


def trends() -> Trends:
    """Return a wave of tea, and a smaller one of milk, in DE; in FR sugar and soap sell as ever."""
    found = [("tea", 80.0, 100.0), ("milk", 40.0, 60.0), ("jam", 10.0, 900.0), ("cake", 90, 90)]
    french = [("sugar", 50.0, 500.0), ("soap", 40.0, 400.0)]
    rows = np.array([shop.ROW[item] for item, *_ in (*found, *french)], dtype=np.int32)
    places = np.array([0] * len(found) + [1] * len(french), dtype=np.int32)
    recent, usual = (np.array([one[at] for one in (*found, *french)]) for at in (1, 2))
    return Trends.of(("DE", "FR"), Activity.summed(keys_of(places, rows), recent, usual), share=0.1)


def pipeline(name: str) -> Pipeline:
    return compile_placement(name, PLACEMENTS[name], BUNDLE, idle=False)


def asking(
    *queries: Query, states: tuple[UserState, ...] = (), counted: Trends | None = None
) -> Contexts:
    known = states or (UserState.unknown(),) * len(queries)
    return shop.contexts(known, queries, trends() if counted is None else counted)


def listed(name: str, contexts: Contexts) -> list[list[str]]:
    """Return the items of each query's list."""
    found: Candidates = pipeline(name).run(contexts)
    return [shop.names(found.rows[found.queries == query]) for query in range(len(contexts))]


def tier(name: str, contexts: Contexts) -> list[Tier]:
    return tiers_of(contexts, pipeline(name), CONDITIONS)


def test_what_rises_most_in_the_market_comes_first_and_what_is_sold_out_does_not() -> None:
    german, french = (shop.query("trending", market=market) for market in ("DE", "FR"))

    assert listed("trending", asking(german)) == [["tea", "milk"]]
    assert listed("trending", asking(french)) == [[]]


def test_weight_of_zero_that_training_could_not_but_find_keeps_no_trend_away() -> None:
    made = pipeline("trending")

    assert made.proposing == ("trending",)


def test_hidden_and_excluded_items_leave_room_for_the_next_that_rises() -> None:
    contexts = asking(
        shop.query("trending", market="DE", excluded=(ItemId("tea"),), limit=1),
        shop.query("trending", market="DE", limit=1),
    )

    assert listed("trending", contexts) == [["milk"], ["tea"]]


def test_trending_on_the_page_of_a_category_is_of_that_category() -> None:
    dairy = shop.query("category", market="DE", scene=Scene(category="Dairy"))

    assert listed("category", asking(dairy)) == [["milk"]]


def test_stranger_gets_what_is_popular_in_their_market_and_then_everywhere() -> None:
    contexts = asking(
        shop.query("there", market="FR", user_id="", limit=6),
        shop.query("there", market="FR", limit=6),
        states=(UserState.unknown(), shop.bought("tea")),
    )

    assert listed("there", contexts) == [
        ["sugar", "soap", "jam", "tea", "milk", "bread"],
        ["bread", "butter", "jam", "coffee", "milk", "sugar"],
    ]


def test_market_of_which_nothing_is_counted_gets_what_everybody_buys() -> None:
    contexts = asking(shop.query("there", market="IT", limit=2))

    assert listed("there", contexts) == [["bread", "butter"]]


def test_tier_says_where_the_asker_is_only_where_the_list_depends_on_it() -> None:
    german, nowhere = shop.query(market="DE"), shop.query()

    assert tier("there", asking(german)) == [Tier.SEGMENT]
    assert tier("there", asking(nowhere)) == [Tier.POPULAR]
    assert tier("there", asking(german, counted=NO_TRENDS)) == [Tier.POPULAR]
    assert tier("trending", asking(german)) == [Tier.SEGMENT]
    assert tier("trending", asking(shop.query(market="FR"))) == [Tier.POPULAR]
    assert tier("there", asking(german, states=(shop.bought("tea"),))) == [Tier.PERSONAL]


def test_tier_counts_a_page_whose_category_or_search_decides_what_is_listed() -> None:
    on_page = shop.query("category", scene=Scene(category="Dairy"))
    unsaid = shop.query("category")
    searched = shop.query("there", filter=SEARCHED, scene=Scene(search="tea"))
    of_itself = shop.query("there", filter='category under "Dairy"')

    assert tier("category", asking(on_page, unsaid)) == [Tier.SEGMENT, Tier.POPULAR]
    assert tier("there", asking(searched, of_itself)) == [Tier.SEGMENT, Tier.POPULAR]
