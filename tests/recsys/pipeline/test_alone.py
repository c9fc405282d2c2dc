from __future__ import annotations

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


def test_bundle_of_nothing_has_no_version_and_no_item() -> None:
    bundle = nothing_learned()

    assert (bundle.version, len(bundle.catalog), bundle.manifest.log_position) == ("", 0, 0)
