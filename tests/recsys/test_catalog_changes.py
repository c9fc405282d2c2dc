from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.catalog import Catalog
from recsys.catalog_changes import Change, Names, changed
from recsys.ids import ItemId, Vocabulary
from recsys.items import Attribute, Item, Offer
from tests import catalogs

N_OLD = 4


@st.composite
def batches(draw: st.DrawFn) -> list[catalogs.Items]:
    """Draw a catalog of the first rows, and batches of changes of any."""
    return [draw(catalogs.drawn(N_OLD)), *draw(st.lists(catalogs.drawn(), max_size=4))]


def applied(first: catalogs.Items, batches: Sequence[catalogs.Items]) -> Catalog:
    catalog = Catalog.of(Vocabulary.of(catalogs.IDS[:N_OLD]), first)
    names = Names.of(catalog)
    for batch in batches:
        changes = {row: Change(ItemId(catalogs.IDS[row]), item) for row, item in batch.items()}
        catalog, names = changed(catalog, names, changes)
    return catalog


@given(drawn=batches())
@settings(max_examples=300)
def test_changes_one_by_one_make_the_catalog_of_the_final_items(
    drawn: list[catalogs.Items],
) -> None:
    first, *rest = drawn
    final = {row: item for batch in drawn for row, item in batch.items()}

    catalog = applied(first, rest)

    wanted = Catalog.of(Vocabulary.of(catalogs.IDS[: len(catalog)]), final)
    found, told = catalogs.told(catalog), catalogs.told(wanted)
    nameless = {row for row in range(N_OLD, len(catalog)) if row not in final}
    assert nameless == set(np.flatnonzero(catalog.primaries == -1).tolist())
    if not any(item and item.group_id in catalogs.IDS for item in final.values()) or not nameless:
        known = [row for row in range(len(catalog)) if row not in nameless]
        assert [found[row] for row in known] == [told[row] for row in known]
    assert catalog.vocabulary.rows(catalogs.IDS).tolist() == [
        row if row < len(catalog) and row not in nameless else -1 for row in range(7)
    ]
    assert catalog.events_only == (not final)


@given(drawn=batches())
def test_what_was_given_before_never_changes(drawn: list[catalogs.Items]) -> None:
    first, *rest = drawn
    vocabulary = Vocabulary.of(catalogs.IDS[:N_OLD])
    old = Catalog.of(vocabulary, first)
    before = catalogs.told(old)
    catalog, names = old, Names.of(old)

    for batch in rest:
        changes = {row: Change(ItemId(catalogs.IDS[row]), item) for row, item in batch.items()}
        catalog, names = changed(catalog, names, changes)

    assert catalogs.told(old) == before


def test_variant_that_leaves_its_group_leaves_the_others_with_another_primary() -> None:
    group = {row: Item(ItemId(catalogs.IDS[row]), group_id="hats") for row in range(3)}
    alone = Item(ItemId("i0"))

    catalog = applied(group, [{0: alone}])

    assert catalog.primaries.tolist() == [0, 1, 1, 3]


def test_change_of_stock_shares_all_but_what_it_changes() -> None:
    rows = {row: Item(ItemId(catalogs.IDS[row]), "Hat", stock=1.0) for row in range(N_OLD)}
    old = Catalog.of(Vocabulary.of(catalogs.IDS[:N_OLD]), rows)
    sold_out = Item(ItemId("i1"), "Hat", stock=0.0)

    new, _ = changed(old, Names.of(old), {1: Change(ItemId("i1"), sold_out)})

    assert new.items.sellable.tolist() == [True, False, True, True]
    assert new.items.prices is old.items.prices
    assert new.items.listed is old.items.listed
    assert new.titles is old.titles
    assert new.vocabulary is old.vocabulary
    assert new.groups.primaries is old.groups.primaries


def test_change_of_stock_shares_the_attributes() -> None:
    red = Attribute("color", "red")
    hat = Item(ItemId("i0"), "Hat", stock=2.0, attributes=(red,))
    old = Catalog.of(Vocabulary.of(["i0"]), {0: hat})

    new, _ = changed(old, Names.of(old), {0: Change(ItemId("i0"), replace(hat, stock=1.0))})

    assert new.items.stocks.tolist() == [1.0]
    assert new.attributes is old.attributes


def test_change_of_an_offers_stock_is_told() -> None:
    hat = Item(ItemId("i0"), "Hat", offers=(Offer("DE", 2.0, stock=7.0),))
    old = Catalog.of(Vocabulary.of(["i0"]), {0: hat})
    sold = replace(hat, offers=(Offer("DE", 2.0, stock=6.0),))

    new, _ = changed(old, Names.of(old), {0: Change(ItemId("i0"), sold)})

    assert (old.offers.stocks.tolist(), new.offers.stocks.tolist()) == ([7.0], [6.0])
    assert new.offers.prices is old.offers.prices


def test_text_that_is_the_bundles_again_is_kept_there_alone() -> None:
    old = Catalog.of(Vocabulary.of(["i0"]), {0: Item(ItemId("i0"), "Hat")})
    names = Names.of(old)

    new, names = changed(old, names, {0: Change(ItemId("i0"), Item(ItemId("i0"), "Cap"))})
    back, _ = changed(new, names, {0: Change(ItemId("i0"), Item(ItemId("i0"), "Hat"))})

    assert (old.titles[0], new.titles[0], back.titles[0]) == ("Hat", "Cap", "Hat")
    assert not back.titles.patches
