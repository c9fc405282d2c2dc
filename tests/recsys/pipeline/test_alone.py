from __future__ import annotations

import numpy as np

from recsys.models.trends import EVERYWHERE, Activity, Ranked, Trends
from recsys.nothing_learned import nothing_learned
from recsys.pipeline.alone import catalog_alone, fills_up, popular_alone
from recsys.pipeline.compile import compile_placements
from recsys.pipeline.placement import parse_placements
from tests import shop

TEXT = """
[placements.home]
size = 4
filters = [{ kind = "available" }]
sources = [{ kind = "nearest", k = 10 }, { kind = "popular", k = 10 }]

[placements.like_it]
size = 3
filters = [{ kind = "available" }]
sources = [{ kind = "alike", k = 10 }]
fallback = "home"

[placements.viewed]
size = 3
filters = [{ kind = "available" }]
sources = [{ kind = "recently_viewed", k = 10 }, { kind = "nearest", k = 10 }]

[placements.only_dear]
size = 3
filters = [{ kind = "available" }]
sources = [{ kind = "nearest", k = 10 }]
"""
PROMISING = """
[placements.trending]
size = 3
filters = [{ kind = "available" }]
sources = [{ kind = "trending", k = 10 }]
fallback = "home"

[placements.search]
size = 4
filters = [{ kind = "available" }]
sources = [{ kind = "nearest", k = 10 }, { kind = "searched", k = 10 }]
fallback = "home"

[placements.seen]
size = 4
filters = [{ kind = "available" }]
sources = [{ kind = "popular", k = 10 }, { kind = "recently_viewed", k = 10 }]

[placements.newest]
size = 4
filters = [{ kind = "available" }]
sources = [{ kind = "new", k = 10, days = 1.0 }]
fallback = "home"
"""
PIPELINES = compile_placements(parse_placements(TEXT), shop.bundle())


def test_placement_that_is_filled_up_is_made_of_popular_items() -> None:
    hurried = popular_alone(PIPELINES, shop.bundle())

    for name in ("home", "like_it"):
        assert hurried[name].proposing == ("popular",)
        assert hurried[name].size == PIPELINES[name].size
        assert hurried[name].filters is PIPELINES[name].filters
        assert hurried[name].fallback == ""


def test_placement_that_promises_something_keeps_to_it_but_for_dear_sources() -> None:
    hurried = popular_alone(PIPELINES, shop.bundle())

    assert hurried["viewed"].proposing == ("recently_viewed",)
    assert hurried["only_dear"] is PIPELINES["only_dear"]


def test_catalog_fills_what_is_filled_up_and_nothing_else() -> None:
    alone = catalog_alone(PIPELINES, shop.bundle())

    assert alone["home"].proposing == alone["like_it"].proposing == ("popular", "new")
    assert alone["viewed"] is PIPELINES["viewed"]
    assert {name for name, one in PIPELINES.items() if fills_up(one)} == {"home", "like_it"}


def test_catalog_keeps_sources_that_need_no_model_ahead_of_what_fills_up() -> None:
    bundle = shop.bundle()
    pipelines = compile_placements(parse_placements(TEXT + PROMISING), bundle)

    alone = catalog_alone(pipelines, bundle)

    assert alone["trending"].proposing == ("trending", "popular", "new")
    assert alone["search"].proposing == ("searched", "popular", "new")
    assert alone["seen"].proposing == ("recently_viewed", "popular", "new")
    assert alone["newest"].proposing == ("new", "popular")
    assert alone["search"].fallback == ""
    hurried = popular_alone(pipelines, bundle)
    assert all(hurried[name].proposing == ("popular",) for name in ("trending", "search", "seen"))


def test_catalog_alone_lists_the_least_that_fits_before_what_is_most_popular() -> None:
    bundle = shop.bundle()
    pipelines = compile_placements(parse_placements(TEXT + PROMISING), bundle)
    trends = Trends.of((), Activity.none(), 0.1)
    rising = Ranked.of(np.array([shop.ROW["tea"], shop.ROW["soap"]]), np.array([5e5, 4.5]))
    trends.made["trending", EVERYWHERE] = rising
    contexts = shop.contexts([shop.bought("milk")], trends=trends)

    listed = catalog_alone(pipelines, bundle)["trending"].run(contexts)

    assert shop.names(listed.rows) == ["tea", "soap", "bread"]


def test_bundle_of_nothing_has_no_version_and_no_item() -> None:
    bundle = nothing_learned()

    assert (bundle.version, len(bundle.catalog), bundle.manifest.log_position) == ("", 0, 0)
