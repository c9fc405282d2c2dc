from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.catalog import Catalog
from recsys.catalog_changes import Change, Names, changed
from recsys.catalog_words import CatalogWords
from recsys.ids import ItemId, Vocabulary
from recsys.items import Attribute, Item
from recsys.models.words import WordIndex
from tests import catalogs

SEARCHES = ("shirt", "hat", "clothes", "bread food", "acme", "red", "xl", "shrit")
N_OLD = 4
N_MANY = 40


def told(index: WordIndex) -> list[tuple[list[int], list[float]]]:
    """Return what each search finds."""
    return [(rows.tolist(), scores.tolist()) for rows, scores in map(index.matching, SEARCHES)]


@given(
    catalogs.drawn(N_OLD),
    st.lists(st.tuples(catalogs.drawn(), st.booleans()), max_size=4),
)
@settings(max_examples=200)
def test_an_index_kept_up_with_changes_finds_what_one_made_anew_finds(
    first: catalogs.Items, batches: Sequence[tuple[catalogs.Items, bool]]
) -> None:
    others = {row: Item(ItemId(f"o{row}"), "Other") for row in range(N_OLD, N_MANY)}
    ids = (*catalogs.IDS[:N_OLD], *(f"o{row}" for row in range(N_OLD, N_MANY)))
    catalog = Catalog.of(Vocabulary.of(ids), {**first, **others})
    names, words = Names.of(catalog), CatalogWords.of(catalog)
    words.index()

    for batch, searched in batches:
        changes = {row: Change(ItemId(ids[row]), item) for row, item in batch.items()}
        catalog, names = changed(catalog, names, changes)
        words = CatalogWords.of(catalog, words)
        if searched:
            words.index()

    assert told(words.index()) == told(CatalogWords.of(catalog).index())


def test_few_changes_leave_most_of_an_index_as_it_is() -> None:
    items = {row: Item(ItemId(f"i{row}"), f"Thing {row}") for row in range(N_MANY)}
    catalog = Catalog.of(Vocabulary.of([one.item_id for one in items.values()]), items)
    before = CatalogWords.of(catalog)
    before.index()
    lamp = Item(ItemId("lamp"), "Lamp", attributes=(Attribute("colour", "Dark blue"),))

    now, _ = changed(catalog, Names.of(catalog), {N_MANY: Change(ItemId("lamp"), lamp)})
    words = CatalogWords.of(now, before)

    assert words.index().first is before.index().first
    assert words.index().matching("blue lamp")[0].tolist() == [N_MANY]
    assert np.flatnonzero(words.index().changed).tolist() == [N_MANY]


def test_an_index_is_made_when_it_is_asked_for_and_not_before() -> None:
    catalog = Catalog.of(Vocabulary.of(["lamp"]), {0: Item(ItemId("lamp"), "Lamp")})
    unasked, asked = CatalogWords.of(catalog), CatalogWords.of(catalog)
    asked.index()
    behind = [CatalogWords.of(catalog, before) for before in (unasked, asked)]

    for words, before in zip(behind, (unasked, asked), strict=True):
        words.prepare(before)

    assert [bool(words.made) for words in behind] == [False, True]
