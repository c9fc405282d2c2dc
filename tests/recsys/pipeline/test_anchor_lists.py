"""Lists about something that the asker did: what they are about, and what they may not hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from recsys.assortment import Assortment
from recsys.conditions import Conditions
from recsys.context import RelatesTo
from recsys.events import EventType
from recsys.ids import ItemId
from recsys.pipeline.compile import compile_placements
from recsys.pipeline.pages import Part, Placements, composed
from recsys.pipeline.placement import parse_placements
from recsys.query import Page, Query, Scene
from recsys.state import UserState
from tests import shop

PLACEMENTS = parse_placements(
    """
[placements.viewed]
size = 3
relates_to = "last_viewed"
sources = [{ kind = "bought_together", k = 10 }]

[placements.bought]
size = 3
relates_to = "last_bought"
sources = [{ kind = "bought_together", k = 10 }]

[placements.popular]
size = 3
sources = [{ kind = "popular", k = 10 }]
"""
)
BUNDLE = shop.bundle()
CONDITIONS = Conditions.of(Assortment.of(BUNDLE.catalog))
KNOWN = Placements(compile_placements(PLACEMENTS, BUNDLE, CONDITIONS), CONDITIONS)

VIEW, BUY, HIDE = EventType.DETAIL_VIEW, EventType.PURCHASE, EventType.HIDE
ANNA = shop.state(
    (VIEW, "coffee", 1.0), (EventType.CLICK, "bread", 2.0), (VIEW, "soap", 3.0), (BUY, "jam", 1.0)
)


def parts(known: UserState, *placements: str, **asked: object) -> list[Part]:
    queries = tuple(shop.query(name, **asked) for name in placements)
    return made([Page(queries)], [known])


def made(pages: Sequence[Page], known: Sequence[UserState]) -> list[Part]:
    return list(composed(pages, shop.contexts(known, [page.asker for page in pages]), KNOWN))


def about(part: Part, query: int = 0) -> list[str]:
    return shop.names(part.about.at(query))


def listed(part: Part, query: int = 0) -> list[str]:
    found = part.filled.listed
    return shop.names(found.rows[found.queries == query])


@pytest.mark.parametrize(("placement", "item"), [("viewed", "coffee"), ("bought", "jam")])
def test_a_list_is_about_the_item_viewed_or_bought_last(placement: str, item: str) -> None:
    (part,) = parts(ANNA, placement)

    assert about(part) == [item]
    assert item not in listed(part)
    assert set(listed(part)) <= {name for group in shop.GROUPS if item in group for name in group}
    assert part.contexts.about is PLACEMENTS[placement].relates_to


@pytest.mark.parametrize(
    "asked",
    [
        {"excluded": (ItemId("coffee"),)},
        {"seeds": (ItemId("coffee"),)},
        {"scene": Scene(cart=(ItemId("coffee"),))},
    ],
)
def test_what_is_excluded_or_at_hand_is_passed_over(asked: dict[str, object]) -> None:
    (part,) = parts(ANNA, "viewed", **asked)

    assert about(part) == ["bread"]


def test_what_the_asker_hid_is_passed_over_until_they_like_it() -> None:
    hidden = shop.state((VIEW, "coffee", 2.0), (VIEW, "bread", 3.0), (HIDE, "coffee", 1.0))
    liked = shop.state((VIEW, "coffee", 2.0), (HIDE, "coffee", 1.0), (EventType.LIKE, "coffee", 0))

    assert about(parts(hidden, "viewed")[0]) == ["bread"]
    assert about(parts(liked, "viewed")[0]) == ["coffee"]


def test_no_two_lists_of_a_page_are_about_the_same() -> None:
    again = shop.state((VIEW, "coffee", 1.0), (VIEW, "bread", 2.0), (BUY, "coffee", 3.0))

    found = parts(again, "viewed", "popular", "viewed", "bought", "viewed")

    assert [about(part) for part in found] == [["coffee"], [], ["bread"], [], []]
    assert listed(found[4]) == []


def test_lists_of_several_askers_are_each_about_their_own() -> None:
    pages = [Page((shop.query("viewed"), shop.query("viewed")))] * 3
    known = [ANNA, UserState.unknown(), shop.state((VIEW, "sponge", 1.0))]

    first, second = made(pages, known)

    assert [about(first, query) for query in range(3)] == [["coffee"], [], ["sponge"]]
    assert [about(second, query) for query in range(3)] == [["bread"], [], []]
    assert [listed(first, query) for query in range(3)] == [["milk", "sugar"], [], ["soap"]]


def test_second_list_of_a_page_equals_one_asked_for_with_the_first_ones_items_excluded() -> None:
    first, second = parts(ANNA, "viewed", "viewed")
    gone = tuple(ItemId(name) for name in (*about(first), *listed(first)))

    (alone,) = parts(ANNA, "viewed", excluded=gone)

    assert (about(second), listed(second)) == (about(alone), listed(alone)) != ([], [])


def test_contexts_of_a_list_about_the_asker_stay_about_it() -> None:
    known = shop.contexts([ANNA]).relating_to(RelatesTo.LAST_VIEWED)

    again = known.relating_to(RelatesTo.LAST_VIEWED)

    assert again is known
    assert known.made is not shop.contexts([ANNA]).made


def test_report_names_what_a_list_is_about_as_taken_away() -> None:
    query: Query = replace(shop.query("viewed"), limit=3)

    (part,) = made([Page((query,))], [ANNA])

    removed = {one.name: one.n_items for one in part.filled.report(0).removed}
    assert removed == {"not_about": 1}
