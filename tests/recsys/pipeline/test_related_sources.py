"""Sources that go from item to item, in the tiny shop and among items that came later."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsys.bundle import ModelBundle
from recsys.context import Contexts
from recsys.eligibility import Eligibility
from recsys.events import EventType
from recsys.ids import ItemId
from recsys.index.faiss_index import FaissIndex
from recsys.models.factors import FactorModel
from recsys.models.relations import Relations
from recsys.pipeline.compile import source_of
from recsys.pipeline.placement import SourceKind
from recsys.query import Query
from recsys.state import UserState
from tests import shop
from tests.recsys import test_growth as later

BUNDLE = shop.bundle()
N_ITEMS = len(shop.ITEMS)


def asked(*seeds: str) -> Contexts:
    """Return the contexts of a stranger on the page of these items."""
    query = shop.query("product", seeds=tuple(map(ItemId, seeds)))
    return shop.contexts([UserState.unknown()], [query])


def found(
    kind: SourceKind, contexts: Contexts, k: int = 10, bundle: ModelBundle = BUNDLE
) -> list[str]:
    """Return what a source proposes, best first."""
    eligible = Eligibility.everything(len(bundle.catalog), len(contexts))
    rows = source_of(kind, bundle).retrieve(contexts, eligible, k).rows
    return [bundle.catalog.vocabulary.id(row) for row in rows.tolist()]


def with_vectors(vectors: list[list[float]]) -> ModelBundle:
    items = np.zeros((N_ITEMS, 3), dtype=np.float32)
    items[: len(vectors)] = vectors
    factors = FactorModel.of(items, regularization=0.1, alpha=1.0)
    index = FaissIndex.exactly(factors.items, factors.known)
    return replace(BUNDLE, factors=factors, index=index)


@pytest.mark.parametrize("kind", [SourceKind.BOUGHT_TOGETHER, SourceKind.ALSO_VIEWED])
def test_what_goes_with_the_items_at_hand_is_proposed(kind: SourceKind) -> None:
    assert set(found(kind, asked("bread"))) == {"butter", "jam"}
    assert found(kind, asked()) == []


def test_in_a_shop_without_looks_also_viewed_says_nothing() -> None:
    silent = replace(BUNDLE, relations=Relations.none(N_ITEMS))

    assert found(SourceKind.ALSO_VIEWED, asked("bread"), bundle=silent) == []


def test_alike_is_what_points_the_same_way_not_what_is_long() -> None:
    # bread asks; butter points the same way and is short, jam is long and points elsewhere
    bundle = with_vectors([[1, 0, 0], [0.2, 0, 0], [5, 5, 0], [0, 0, 1]])

    assert found(SourceKind.ALIKE, asked("bread"), bundle=bundle) == ["butter", "jam"]


def test_alike_leaves_out_the_items_at_hand_and_fills_the_list() -> None:
    bundle = with_vectors([[1, 0.1 * row, 0] for row in range(N_ITEMS)])

    proposed = found(SourceKind.ALIKE, asked("bread", "tea"), 8, bundle)

    assert len(proposed) == 8
    assert not {"bread", "tea"} & set(proposed)


def test_alike_to_an_item_without_a_vector_is_nothing() -> None:
    bundle = with_vectors([[1, 0, 0]])

    assert found(SourceKind.ALIKE, asked("butter"), bundle=bundle) == []


def test_each_asker_gets_what_is_alike_to_their_own_page() -> None:
    queries = [
        shop.query("product", seeds=tuple(map(ItemId, seeds)))
        for seeds in (("bread",), (), ("soap", "coffee"))
    ]
    contexts = shop.contexts([UserState.unknown()] * 3, queries)
    source = source_of(SourceKind.ALIKE, BUNDLE)

    candidates = source.retrieve(contexts, Eligibility.everything(N_ITEMS, 3), 10)
    anchors = source.anchors(contexts, candidates)

    lists = [shop.names(candidates.rows[candidates.queries == query]) for query in range(3)]
    assert [sorted(names) for names in lists] == [
        ["butter", "jam"],
        [],
        ["milk", "sponge", "sugar"],
    ]
    why = dict(zip(shop.names(candidates.rows), shop.names(anchors), strict=True))
    assert (why["sponge"], why["milk"], why["jam"]) == ("soap", "coffee", "bread")


def test_an_item_that_came_later_is_found_as_alike_and_may_be_asked_about() -> None:
    bundle = later.BUNDLE
    milk, oats = (
        later.contexts([UserState.unknown()], [Query("product", shop.NOW, seeds=(ItemId(item),))])
        for item in ("milk", "oat milk")
    )

    assert "oat milk" in found(SourceKind.ALIKE, milk, bundle=bundle)
    assert set(found(SourceKind.ALIKE, oats, bundle=bundle)) == {"coffee", "milk", "sugar"}


@pytest.mark.parametrize("kind", [SourceKind.BOUGHT_TOGETHER, SourceKind.SESSION])
def test_an_item_that_came_later_has_no_relations_yet(kind: SourceKind) -> None:
    state = shop.bought_rows([11])
    query = Query("product", shop.NOW, "anna", seeds=(ItemId("oat milk"),))

    assert found(kind, later.contexts([state], [query]), bundle=later.BUNDLE) == []


def test_who_is_in_a_session_gets_what_others_went_on_to() -> None:
    visitor = replace(shop.query(), user_id="", visitor_id="nobody knows")
    state = shop.state((EventType.DETAIL_VIEW, "coffee", 0.001))

    proposed = found(SourceKind.SESSION, shop.contexts([state], [visitor]))

    assert proposed == ["coffee", "milk", "sugar"]
