"""Lists that are chosen from the items of their request alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recsys.assortment import Assortment
from recsys.conditions import Conditions
from recsys.ids import ItemId
from recsys.pipeline.compile import compile_placements
from recsys.pipeline.pages import CANDIDATES, Part, Placements, composed
from recsys.pipeline.placement import parse_placements
from recsys.query import Page, Query
from recsys.state import UserState
from tests import shop

PLACEMENTS = parse_placements(
    shop.PLACEMENTS
    + """
[placements.again]
size = 2
filters = [{ kind = "available" }]
sources = [{ kind = "buy_again", k = 10 }]
fallback = "home"
"""
)
BUNDLE = shop.bundle()
CONDITIONS = Conditions.of(Assortment.of(BUNDLE.catalog))
KNOWN = Placements(compile_placements(PLACEMENTS, BUNDLE, CONDITIONS), CONDITIONS)
MINE = ("tea", "jam", "cake", "coffee", "sponge", "nonesuch", "milk")


def asked(*names: str, placement: str = "home", **fields: object) -> Query:
    return shop.query(placement, candidates=tuple(map(ItemId, names)), **fields)


def parts(*queries: Query, known: UserState | None = None) -> list[Part]:
    page = Page(queries)
    contexts = shop.contexts([known or UserState.unknown()], [page.asker])
    return list(composed([page], contexts, KNOWN))


def listed(found: list[Part]) -> list[str]:
    return [name for part in found for name in shop.names(part.filled.listed.rows)]


@pytest.mark.parametrize("placement", ["home", "product", "email"])
def test_a_list_holds_all_candidates_that_its_filters_allow_and_nothing_else(
    placement: str,
) -> None:
    found = parts(asked(*MINE, placement=placement))

    assert sorted(listed(found)) == ["coffee", "jam", "milk", "sponge", "tea"]
    assert found[0].more.unknown == (ItemId("nonesuch"),)


def test_candidates_come_best_first_for_who_asks() -> None:
    barista = shop.bought("coffee", days=20.0)

    found = listed(parts(asked(*MINE), known=barista))

    assert found[0] == "coffee"
    assert found.index("milk") < found.index("jam")


def test_report_counts_among_the_candidates_what_each_filter_took_away() -> None:
    (part,) = parts(asked(*MINE, filter="price < 6", excluded=(ItemId("jam"),)))

    report = part.filled.report(0)
    removed = {one.name: one.n_items for one in report.removed if one.n_items}
    assert removed == {CANDIDATES: 4, "available": 1, "price < 6": 2}
    assert (report.wanted, report.eligible, report.returned) == (7, 2, 2)


def test_a_limit_cuts_the_candidates_and_none_gives_as_many_as_there_are() -> None:
    assert len(listed(parts(asked(*MINE, limit=2)))) == 2
    assert len(listed(parts(asked(*shop.ITEMS)))) == 9


def test_a_fallback_keeps_to_the_candidates() -> None:
    found = parts(asked("tea", "jam", "bread", placement="again"), known=shop.bought("jam"))

    assert listed(found) == ["jam", "bread", "tea"]


def test_slots_with_candidates_of_their_own_keep_to_them_and_share_none() -> None:
    first, second, third = parts(
        asked("tea", "jam"), asked("tea", "bread"), shop.query("home", limit=2)
    )

    assert sorted(listed([first])) == ["jam", "tea"]
    assert listed([second]) == ["bread"]
    assert listed([third]) == ["butter", "coffee"]


def test_pages_of_a_batch_keep_to_their_own_candidates() -> None:
    pages = [Page((asked("tea"),)), Page((asked("jam"),)), Page((replace(shop.query(), limit=1),))]
    contexts = shop.contexts([UserState.unknown()] * 3, [page.asker for page in pages])

    found = list(composed(pages, contexts, KNOWN))

    by_page = {part.places[0].page: listed([part]) for part in found}
    assert by_page == {0: ["tea"], 1: ["jam"], 2: ["bread"]}
