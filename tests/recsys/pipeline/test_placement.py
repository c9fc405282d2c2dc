from __future__ import annotations

from pathlib import Path

import pytest

from recsys.errors import InvalidInput, NotFound
from recsys.models.blend import Blend
from recsys.pipeline.compile import compile_placements
from recsys.pipeline.filter_configs import NotShownConfig, NotViewedConfig
from recsys.pipeline.own_sources import RecentlyViewed
from recsys.pipeline.placement import (
    DEFAULT_PLACEMENTS,
    ExplorationConfig,
    NewcomersConfig,
    RotationConfig,
    Situation,
    parse_placements,
    read_placements,
)
from recsys.pipeline.rankers import WeightedSum
from tests import shop

GOOD = """
[placements.home]
situation = "visit"
size = 10
sources = [{ kind = "popular", k = 10 }]
"""


NEW = "newcomers = { share = 0.05, days = 30, evidence = 5 }"


def test_a_share_for_newcomers_is_read_and_none_is_the_default() -> None:
    with_share = parse_placements(GOOD.replace("size = 10", f"size = 10\n{NEW}"))

    assert with_share["home"].newcomers == NewcomersConfig(share=0.05, days=30, evidence=5)
    assert parse_placements(GOOD)["home"].newcomers is None


COMING_ALONG = read_placements(DEFAULT_PLACEMENTS)
COMPILED = compile_placements(COMING_ALONG, shop.bundle())


@pytest.mark.parametrize("name", COMING_ALONG)
def test_a_placement_that_comes_along_compiles_and_its_fallback_is_full(name: str) -> None:
    compiled = COMPILED[name]

    assert compiled.size == COMING_ALONG[name].size
    assert {"available", "not_hidden"} <= {one.name for one in compiled.filters}
    if compiled.fallback:
        assert "popular" in COMPILED[compiled.fallback].proposing


def test_the_page_for_storefronts_tells_of_every_placement_that_comes_along() -> None:
    page = Path(__file__).parents[3] / "docs" / "storefront.md"
    rows = [line for line in page.read_text("utf-8").splitlines() if "--placement " in line]

    told = {line.split("`")[1] for line in rows if line.startswith("| `")}

    assert told == set(COMING_ALONG)


def test_a_placement_without_a_situation_is_not_judged() -> None:
    unsaid = GOOD.replace('situation = "visit"', "")
    empty = GOOD.replace('"visit"', '""')

    assert [parse_placements(text)["home"].situation for text in (GOOD, unsaid, empty)] == [
        Situation.VISIT,
        None,
        None,
    ]


def test_a_placement_may_rank_by_the_weights_of_another() -> None:
    bundle = shop.bundle(blends={"home": Blend({"nearest": 0.25, "popular": 1.0})})
    likewise = GOOD.replace("home", "sale").replace(
        "sources = [", "sources = [{ kind = 'nearest', k = 10 }, "
    )
    likewise += "ranker = { kind = 'blend', like = 'home' }\n"

    pipeline = compile_placements(parse_placements(GOOD + likewise), bundle)["sale"]

    assert isinstance(pipeline.ranker, WeightedSum)
    assert pipeline.ranker.weights.tolist() == [0.25, 1.0]


def test_a_source_looks_as_far_back_as_it_is_told() -> None:
    text = GOOD.replace('"popular", k = 10', '"recently_viewed", k = 10, days = 7')

    (source,) = compile_placements(parse_placements(text), shop.bundle())["home"].sources

    assert source.source == RecentlyViewed(7.0)


def _with(line: str) -> tuple[str, str]:
    return "size = 10", f"size = 10\n{line}"


def _filter(fields: str) -> tuple[str, str]:
    return _with(f"filters = [{{ {fields} }}]")


def test_what_selects_is_off_unless_it_is_said() -> None:
    said = parse_placements(
        GOOD
        + """
diversity = 0.3
rotation = { rate = 0.5, days = 7 }
min_relevance = "medium"
price_preference = -0.5
objectives = { margin = 0.2, stock = 0 }
exploration = { share = 0.05 }
filters = [{ kind = "not_shown", within_days = 3, times = 4 }, { kind = "not_viewed" }]
"""
    )["home"]
    unsaid = parse_placements(GOOD)["home"]

    assert said.rotation == RotationConfig(rate=0.5, days=7)
    assert (said.diversity, said.min_relevance) == (0.3, 0.25)
    assert said.lifts == {"margin": 0.2, "price": -0.5}
    assert said.exploration == ExplorationConfig(share=0.05)
    assert said.filters == (
        NotShownConfig("not_shown", within_days=3, times=4),
        NotViewedConfig("not_viewed"),
    )
    assert (unsaid.diversity, unsaid.rotation, unsaid.min_relevance) == (0, None, 0)
    assert (unsaid.lifts, unsaid.exploration) == ({}, None)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (("size = 10", "size = 0"), "placements.home.size"),
        (("size = 10", "size = 501"), "placements.home.size"),
        (("size = 10", "size = 10\ncolour = 'red'"), "placements.home.colour"),
        (("k = 10", "k = 10, depth = 3"), r"sources.0.depth"),
        (('"popular"', '"magic"'), r"sources.0.kind"),
        (('"visit"', '"stroll"'), "placements.home.situation"),
        (("[{", "[] #[{"), "placements.home.sources"),
        (("size = 10", f"size = 10\n{NEW.replace('0.05', '0')}"), r"home\.newcomers\.share"),
        (("size = 10", f"size = 10\n{NEW.replace('0.05', '0.6')}"), r"home\.newcomers\.share"),
        (("size = 10", f"size = 10\n{NEW.replace('30', '-1')}"), r"home\.newcomers\.days"),
        (("size = 10", f"size = 10\n{NEW.replace('5 }', '0 }')}"), r"home\.newcomers\.evidence"),
        (("size = 10", f"size = 10\n{NEW.replace('days', 'weeks')}"), r"home\.newcomers"),
        (("size = 10", "size = 10\nfilters = [{ kind = 'nice' }]"), r"filters.0"),
        (_filter("kind = 'not_shown', times = 0"), r"filters\.0.*times"),
        (_filter("kind = 'not_shown', times = 101"), r"filters\.0.*times"),
        (_filter("kind = 'not_viewed', times = 2"), r"filters\.0.*times"),
        (_filter("kind = 'not_mailed', within_days = 0"), r"filters\.0.*within_days"),
        (_with("diversity = 1.1"), r"home\.diversity"),
        (_with("diversity = nan"), r"home\.diversity"),
        (_with("rotation = { rate = 0, days = 7 }"), r"home\.rotation\.rate"),
        (_with("rotation = { rate = 0.5 }"), r"home\.rotation\.days"),
        (_with("min_relevance = 2"), r"home\.min_relevance"),
        (_with("min_relevance = 'some'"), "low, medium, high, or a number from 0 to 1"),
        (_with("price_preference = -2"), r"home\.price_preference"),
        (_with("objectives = { margin = 3 }"), r"home\.objectives\.margin"),
        (_with("objectives = { title = 0.5 }"), "fields of items that are numbers"),
        (
            _with("objectives = { price = 0.5 }\nprice_preference = 0.5"),
            "either this or price_preference",
        ),
        (_with("exploration = { share = 0.6 }"), r"home\.exploration\.share"),
        (("k = 10", "k = 10, days = 7"), r"home\.sources\.0\.days"),
        (('"popular", k = 10', '"new", k = 10, days = 0'), r"sources\.0\.days"),
        (("}]", "}, { kind = 'popular', k = 5 }]"), r"home\.sources\.1\.kind"),
        (_with("ranker = { kind = 'blend', like = 'nowhere' }"), r"home\.ranker\.like"),
        (_with("relates_to = 'last_dreamt_of'"), r"home\.relates_to"),
    ],
)
def test_a_wrong_field_is_refused_at_every_depth_by_its_path(
    change: tuple[str, str], field: str
) -> None:
    with pytest.raises(InvalidInput, match=field):
        parse_placements(GOOD.replace(*change))


def test_text_that_is_not_toml_is_refused_by_the_files_name() -> None:
    with pytest.raises(InvalidInput, match=r"mine\.toml"):
        parse_placements("[[", name="mine.toml")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"none\.toml"):
        read_placements(tmp_path / "none.toml")


def test_a_folder_or_bytes_that_are_no_text_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")

    for path in (tmp_path, tmp_path / "bytes.toml"):
        with pytest.raises(InvalidInput, match=path.name):
            read_placements(path)


def test_a_file_without_placements_says_what_is_wanted() -> None:
    with pytest.raises(InvalidInput, match=r"\[placements\.NAME\]"):
        parse_placements("size = 3")
