from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsys.arrays import Rows
from recsys.catalog_words import CatalogWords
from recsys.context import Contexts
from recsys.eligibility import Eligibility
from recsys.events import EventType
from recsys.models.words import WordIndex
from recsys.pipeline.compile import source_of
from recsys.pipeline.own_sources import Abandoned, Due, New, OwnSource, RecentlyViewed, Searched
from recsys.pipeline.placement import SourceKind
from recsys.query import Scene
from recsys.state import UserState
from recsys.timelines import Ragged
from tests import shop

VIEW, CLICK = EventType.DETAIL_VIEW, EventType.CLICK
CART, OUT, BUY = EventType.ADD_TO_CART, EventType.REMOVE_FROM_CART, EventType.PURCHASE
ANNA = shop.state(
    (VIEW, "bread", 2.0),
    (CLICK, "butter", 1.0),
    (VIEW, "bread", 9.0),
    (VIEW, "jam", 40.0),
    (CART, "coffee", 0.5),
)


def proposed(source: OwnSource, contexts: Contexts, k: int = 10) -> list[str]:
    everything = Eligibility.everything(len(shop.ITEMS), len(contexts))
    return shop.names(source.retrieve(contexts, everything, k).rows)


def test_what_was_looked_at_comes_once_each_and_newest_first() -> None:
    assert proposed(RecentlyViewed(), shop.contexts([ANNA])) == ["butter", "bread", "jam"]
    assert proposed(RecentlyViewed(30.0), shop.contexts([ANNA])) == ["butter", "bread"]
    assert proposed(RecentlyViewed(), shop.contexts([ANNA]), 1) == ["butter"]
    assert proposed(RecentlyViewed(), shop.contexts([UserState.unknown()])) == []


@pytest.mark.parametrize(
    ("events", "left"),
    [
        ([(CART, "tea", 3.0), (CART, "milk", 2.0)], ["milk", "tea"]),
        ([(CART, "tea", 3.0), (OUT, "tea", 1.0)], []),
        ([(CART, "tea", 3.0), (OUT, "tea", 2.0), (CART, "tea", 1.0)], ["tea"]),
        ([(CART, "tea", 3.0), (BUY, "tea", 1.0)], []),
        ([(CART, "tea", 3.0), (BUY, "tea", 3.0)], []),
        ([(BUY, "tea", 3.0), (CART, "tea", 1.0)], ["tea"]),
        ([(CART, "tea", 3.0), (BUY, "milk", 1.0)], ["tea"]),
        ([(CART, "tea", 40.0), (CART, "milk", 2.0)], ["milk"]),
        ([], []),
    ],
)
def test_left_in_the_cart_is_what_was_neither_taken_out_nor_bought_since(
    events: list[tuple[EventType, str, float]], left: list[str]
) -> None:
    known = shop.contexts([shop.state(*events)])

    assert proposed(Abandoned(30.0), known) == left


def test_carts_of_several_askers_are_kept_apart() -> None:
    known = shop.contexts([shop.state((CART, "tea", 3.0)), shop.bought("tea", days=1.0)])

    found = Abandoned().retrieve(known, Eligibility.everything(len(shop.ITEMS), 2), 9)

    assert (found.queries.tolist(), shop.names(found.rows)) == ([0], ["tea"])


def test_what_is_due_today_comes_before_what_is_due_in_days_or_was_long_ago() -> None:
    weekly = [(BUY, "milk", days) for days in (7.0, 14.0, 21.0)]
    long_due = [(BUY, "tea", days) for days in (14.0, 21.0, 28.0)]
    early = [(BUY, "soap", days) for days in (2.0, 9.0, 16.0)]
    over = [(BUY, "jam", days) for days in (60.0, 67.0, 74.0)]
    twice = [(BUY, "bread", days) for days in (7.0, 14.0)]
    known = shop.contexts([shop.state(*weekly, *long_due, *early, *over, *twice)])

    assert proposed(Due(), known) == ["milk", "tea", "soap"]


def test_what_came_last_is_new_and_what_came_with_the_shop_never_is() -> None:
    since = shop.since(days=(400, 400, 2, 5, 90, 400, 0, 399, 1, 3))
    since[0] = 0
    bundle = shop.bundle()
    young = replace(bundle, catalog=replace(bundle.catalog, since=since))
    lately, ever = source_of(SourceKind.NEW, young, days=60.0), source_of(SourceKind.NEW, young)
    assert isinstance(lately, New)
    assert isinstance(ever, New)

    found = [proposed(new, shop.contexts([ANNA])) for new in (lately, ever)]

    assert found[0] == ["soap", "tea", "jam", "cake", "coffee"]
    assert found[1] == [*found[0], "milk", "sponge"]


def test_what_is_described_after_the_question_is_not_new_yet() -> None:
    since = shop.since(days=(3, -1, 2, 1, 1, 1, 1, 1, 1, 1))

    found = proposed(New(since), shop.contexts([ANNA]), 2)

    assert found == ["coffee", "milk"]


def searched(text: str, counts: Rows | None = None) -> list[str]:
    bundle = shop.bundle()
    words = CatalogWords.of(bundle.catalog)
    bought = bundle.popularity.counts if counts is None else counts.astype(np.float32)
    source = Searched(words.index, bundle.catalog.primaries, bought)
    asked = shop.contexts([ANNA], [shop.query(scene=Scene(search=text))])
    return proposed(source, asked)


def test_a_search_finds_titles_and_categories_and_the_better_sold_of_those_alike() -> None:
    assert searched("dairy") == ["butter", "milk"]
    assert searched("dairy", counts=np.array([0, 1, 0, 0, 9, 0, 0, 0, 0, 0])) == ["milk", "butter"]
    assert searched("dairy butter") == ["butter", "milk"]
    assert searched("") == []


def test_lists_of_a_page_match_its_search_once_and_each_shows_what_it_may() -> None:
    bundle = shop.bundle()
    words, asked = CatalogWords.of(bundle.catalog), []

    def index() -> WordIndex:
        asked.append(1)
        return words.index()

    source = Searched(index, bundle.catalog.primaries, bundle.popularity.counts)
    texts = ("dairy", "bread", "dairy")
    queries = [shop.query(scene=Scene(search=text)) for text in texts]
    page = shop.contexts([ANNA] * len(texts), queries)
    every = np.ones(len(bundle.catalog), dtype=np.bool_)
    none = Ragged.empty(len(texts))
    some = every & (np.arange(len(every)) != shop.ROW["milk"])

    first, second = (
        source.retrieve(contexts, Eligibility(mask, none), 5)
        for contexts, mask in ((page, every), (page.asking(queries), some))
    )

    assert len(asked) == len(set(texts))
    assert shop.names(first.rows) == ["butter", "milk", "bread", "butter", "milk"]
    assert shop.names(second.rows) == ["butter", "bread", "butter"]


def test_a_search_finds_a_product_by_the_words_of_its_variants() -> None:
    bundle = shop.bundle()
    words = CatalogWords.of(bundle.catalog)
    primaries = bundle.catalog.primaries.copy()
    primaries[[shop.ROW["milk"], shop.ROW["butter"]]] = shop.ROW["bread"]
    source = Searched(words.index, primaries, bundle.popularity.counts)
    asked = shop.contexts([ANNA], [shop.query(scene=Scene(search="milk dairy"))])

    assert proposed(source, asked) == ["bread"]
