from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.assortment import Assortment
from recsys.catalog import Catalog
from recsys.conditions import Conditions, Meets
from recsys.context import Contexts
from recsys.eligibility import Eligibility
from recsys.ids import ItemId, Vocabulary
from recsys.items import Attribute, Item
from recsys.pipeline.compile import compile_placements, conditions_of
from recsys.pipeline.placement import parse_placements
from recsys.predicates.errors import InvalidFilter
from recsys.state import UserState
from recsys.timelines import Ragged
from tests import shop

FILTERS = (
    "price <= 5",
    "price > context.seed.price",
    "category = context.seed.category",
    "category in customer.categories or price < 3",
    "not brand is known and since < now",
)
PURCHASES = st.lists(st.sampled_from(shop.ITEMS), max_size=3)
SEEDS = st.lists(st.sampled_from(shop.ITEMS).map(ItemId), max_size=1).map(tuple)


def organic(*items: str) -> Catalog:
    """Return the shop's catalog, in which these items are tagged as organic."""

    def tagged(item: Item) -> Item:
        tags = (Attribute("tags", "organic"),) if item.item_id in items else ()
        return replace(item, attributes=tags)

    found = dict(enumerate(map(tagged, shop.items())))
    return Catalog.of(Vocabulary.of(shop.ITEMS), found)


def contexts(asked: list[tuple[list[str], tuple[ItemId, ...]]]) -> Contexts:
    queries = [shop.query("product", seeds=seeds) for _, seeds in asked]
    known = [shop.bought(*bought) if bought else UserState.unknown() for bought, _ in asked]
    return shop.contexts(known, queries)


@given(
    asked=st.lists(st.tuples(PURCHASES, SEEDS), min_size=1, max_size=4),
    text=st.sampled_from(FILTERS),
    excluded=st.lists(st.integers(0, len(shop.ITEMS) - 1), max_size=3, unique=True),
)
def test_each_query_of_a_batch_keeps_what_meets_the_filter_for_it_alone(
    asked: list[tuple[list[str], tuple[ItemId, ...]]], text: str, excluded: list[int]
) -> None:
    conditions = conditions_of(shop.bundle())
    predicate = conditions.predicate(text)
    together = contexts(asked)
    rows = np.array(excluded, dtype=np.int32)
    before = Eligibility(together.shelf.allowed, Ragged.of([rows] * len(asked)))

    found = Meets(predicate, conditions).narrow(together, before)

    for query, one in enumerate(asked):
        wanted = before.of_query(query) & conditions.mask(predicate, contexts([one]), 0)
        assert found.of_query(query).tolist() == wanted.tolist()


def test_filter_is_read_once_while_the_fields_stay() -> None:
    first = Conditions.of(Assortment.of(organic("tea")))
    predicate = first.predicate('tags has "organic"')

    same = Conditions.of(Assortment.of(organic("tea", "milk")), first)
    other = Conditions.of(Assortment.of(shop.catalog()), first)

    assert same.predicate('tags has "organic"') is predicate
    with pytest.raises(InvalidFilter, match="tags"):
        other.predicate('tags has "organic"')


def test_what_was_asked_before_is_ready_for_the_next_catalog() -> None:
    first = Conditions.of(Assortment.of(organic("tea")))
    asked = contexts([([], ())])
    first.mask(first.predicate('tags has "organic"'), asked, 0)
    after = Conditions.of(Assortment.of(organic("milk")), first)

    after.prepare(first, int(shop.NOW.timestamp()))

    n_ready = len(after.masks)
    mask = after.mask(after.predicate('tags has "organic"'), asked, 0)
    assert shop.names(np.flatnonzero(mask).astype(np.int32)) == ["milk"]
    assert (n_ready, len(after.masks)) == (n_ready, n_ready)
    assert n_ready > 0


def test_placement_may_state_what_its_items_have_to_be() -> None:
    cheap = shop.PLACEMENTS.replace("size = 4", 'size = 4\nfilter = "price <= 2 or price = 9"')
    pipeline = compile_placements(parse_placements(cheap), shop.bundle())["home"]

    listed = pipeline.run(shop.contexts([UserState.unknown()]))

    assert shop.names(listed.rows) == ["bread", "butter", "tea"]


def test_placement_whose_filter_the_catalog_cannot_answer_shows_nothing_and_says_why() -> None:
    text = shop.PLACEMENTS.replace("size = 4", "size = 4\nfilter = 'tags has \"organic\"'")
    pipeline = compile_placements(parse_placements(text), shop.bundle())["home"]

    filled = pipeline.fill(shop.contexts([UserState.unknown()]), Ragged.empty(1))

    assert len(filled.listed) == 0
    assert filled.report(0).removed[-1].name == 'tags has "organic"'
