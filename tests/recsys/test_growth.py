"""A bundle over items it never met keeps every law of the stages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.arrays import Vectors
from recsys.assortment import Assortment
from recsys.bundle import ModelBundle
from recsys.catalog import Catalog
from recsys.catalog_changes import Change, Names, changed
from recsys.context import Contexts
from recsys.eligibility import Eligibility
from recsys.growth import grown
from recsys.ids import ItemId
from recsys.items import Item
from recsys.pipeline.compile import compile_placements, source_of
from recsys.pipeline.placement import SourceKind, parse_placements
from recsys.query import Query
from recsys.state import UserState
from recsys.timelines import Ragged
from tests import shop

NEWCOMERS = {11: "oat milk", 12: "rye bread"}
"""Row 10 is of an item that nobody described."""
N_ITEMS = 13
VECTORS = np.array([[0, 0, 0], [0, 2, 0], [0.8, 0, 0]], dtype=np.float32)


def with_newcomers(old: ModelBundle, vectors: Vectors = VECTORS) -> ModelBundle:
    changes = {
        row: Change(ItemId(item), Item(ItemId(item), item)) for row, item in NEWCOMERS.items()
    }
    catalog, _ = changed(old.catalog, Names.of(old.catalog), changes)
    return grown(old, catalog, vectors)


BUNDLE = with_newcomers(shop.bundle())
ASSORTMENT = Assortment.of(BUNDLE.catalog)
PIPELINES = compile_placements(parse_placements(shop.PLACEMENTS), BUNDLE)


@st.composite
def batches(draw: st.DrawFn) -> Contexts:
    """Draw one to four queries of customers who know old items and new ones."""
    names = st.sampled_from([*shop.ITEMS, *NEWCOMERS.values()])
    known = draw(st.lists(st.lists(st.integers(0, 13), max_size=6), min_size=1, max_size=4))
    lists = st.lists(names.map(ItemId), max_size=3).map(tuple)
    queries = [
        shop.query(seeds=draw(lists), excluded=draw(lists), limit=draw(st.integers(0, 14)))
        for _ in known
    ]
    return contexts([shop.bought_rows(rows) for rows in known], queries)


def contexts(states: list[UserState], queries: list[Query]) -> Contexts:
    return Contexts.resolve(queries, states, assortment=ASSORTMENT, interest=BUNDLE.interest)


@pytest.mark.parametrize("kind", SourceKind)
@given(data=st.data())
def test_a_source_returns_unique_eligible_rows_and_at_most_k(
    kind: SourceKind, data: st.DataObject
) -> None:
    asked = data.draw(batches())
    shared = np.array(data.draw(st.lists(st.booleans(), min_size=N_ITEMS, max_size=N_ITEMS)))
    rows = st.lists(st.integers(0, N_ITEMS - 1), max_size=4, unique=True)
    excluded = [np.array(data.draw(rows), dtype=np.int32) for _ in range(len(asked))]
    eligible, k = Eligibility(shared, Ragged.of(excluded)), data.draw(st.integers(1, 14))
    source = source_of(kind, BUNDLE)

    found = source.retrieve(asked, eligible, k)

    for query in range(len(asked)):
        own = found.rows[found.queries == query]
        assert len(own) == len(set(own.tolist())) <= k
        assert eligible.of_query(query)[own].all()
        if kind is SourceKind.POPULAR:
            assert len(own) == min(k, eligible.counts()[query])
    anchors = source.anchors(asked, found)
    assert np.all((anchors >= -1) & (anchors < N_ITEMS))


@pytest.mark.parametrize("placement", PIPELINES)
@given(data=st.data())
def test_a_pipeline_fills_every_list_with_what_may_be_shown(
    placement: str, data: st.DataObject
) -> None:
    asked, pipeline = data.draw(batches()), PIPELINES[placement]

    listed = pipeline.run(asked)

    eligible = pipeline.eligible(asked)
    assert not eligible.shared[10]
    for query, limit in enumerate(asked.limits(pipeline.size)):
        rows = listed.rows[listed.queries == query]
        assert eligible.of_query(query)[rows].all()
        assert len(set(rows.tolist())) == len(rows) == min(limit, eligible.counts()[query])


def test_row_that_nobody_named_is_not_listed_even_where_nothing_filters() -> None:
    home = replace(PIPELINES["home"], filters=())

    listed = home.run(contexts([UserState.unknown()], [shop.query(limit=500)]))

    assert sorted(listed.rows.tolist()) == [*range(10), 11, 12]


def test_newcomer_is_near_to_whom_its_vector_suits() -> None:
    drinker = contexts([shop.bought("coffee")], [shop.query("email")])

    found = source_of(SourceKind.NEAREST, BUNDLE).retrieve(
        drinker, Eligibility.everything(N_ITEMS, 1), 2
    )

    assert BUNDLE.catalog.vocabulary.id(int(found.rows[0])) == "oat milk"


def test_interest_in_a_newcomer_brings_what_is_near_to_it() -> None:
    knows = contexts([shop.bought_rows([11])], [shop.query("email")])
    nearest = source_of(SourceKind.NEAREST, BUNDLE)

    found = nearest.retrieve(knows, Eligibility.everything(N_ITEMS, 1), 3)

    assert set(found.rows.tolist()) <= {11, *(shop.ROW[one] for one in shop.GROUPS[1])}
    assert len(found) == 3


def test_arrays_are_made_anew_only_for_another_number_of_rows() -> None:
    again = grown(shop.bundle(), BUNDLE.catalog, VECTORS, BUNDLE)
    same = grown(shop.bundle(), shop.catalog(), VECTORS[:0])

    assert again.popularity is BUNDLE.popularity
    assert again.repurchase is BUNDLE.repurchase
    assert len(same.popularity.counts) == len(shop.ITEMS)


def test_bundle_that_has_grown_is_never_saved(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="never saved"):
        BUNDLE.save(tmp_path / "v1")


def test_catalog_of_the_bundle_itself_changes_no_answer() -> None:
    old = shop.bundle()
    same = grown(
        old, Catalog.of(old.catalog.vocabulary, dict(enumerate(shop.items()))), VECTORS[:0]
    )
    placements = parse_placements(shop.PLACEMENTS)
    asked = shop.contexts([shop.bought("bread")])

    lists = [compile_placements(placements, one)["home"].run(asked) for one in (old, same)]

    assert lists[0].rows.tolist() == lists[1].rows.tolist()
