from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.arrays import Vectors
from recsys.bundle import ModelBundle
from recsys.catalog import Catalog
from recsys.events import Position
from recsys.ids import ItemId, Vocabulary
from recsys.items import Attribute, Item
from recsys.models.relations import Relations
from serving.overlay import CatalogOverlay
from tests import catalogs, shop
from tests.serving.registers import NOON, Register


def trained(items: catalogs.Items, n_rows: int, position: int) -> ModelBundle:
    """Return a bundle of the first rows, as training would make it of the register now."""
    whole = shop.bundle()
    vocabulary = Vocabulary.of(catalogs.IDS[:n_rows])
    known = {row: item for row, item in items.items() if row < n_rows}
    return replace(
        whole,
        manifest=replace(whole.manifest, log_position=position),
        catalog=Catalog.of(vocabulary, known),
        factors=replace(whole.factors, items=whole.factors.items[:n_rows]),
        popularity=type(whole.popularity).of(whole.popularity.counts[:n_rows].copy()),
        relations=Relations.none(n_rows),
        repurchase=replace(whole.repurchase, repeat_rates=whole.repurchase.repeat_rates[:n_rows]),
    )


@given(data=st.data())
@settings(max_examples=150)
def test_changes_and_swaps_of_bundles_end_in_the_catalog_of_the_final_items(
    data: st.DataObject,
) -> None:
    register, items = Register(), dict[int, Item | None]()
    overlay = CatalogOverlay(trained({}, 0, 0))
    n_rows = len(catalogs.IDS)

    for _ in range(data.draw(st.integers(1, 12))):
        match data.draw(st.sampled_from(["change", "change", "remove", "follow", "swap"])):
            case "change":
                row = data.draw(st.integers(0, n_rows - 1))
                items[row] = data.draw(catalogs.items(row))
                register.put(row, catalogs.IDS[row], items[row])
            case "remove" if items:
                row = data.draw(st.sampled_from(sorted(items)))
                items[row] = None
                register.put(row, catalogs.IDS[row], None)
            case "follow":
                overlay.take(register.items_behind(overlay.position, data.draw(st.integers(1, 3))))
            case "swap":
                known = max(items, default=-1) + 1
                n_known = data.draw(st.integers(known, n_rows))
                overlay = CatalogOverlay(trained(items, n_known, register.last))
    while found := register.items_behind(overlay.position, 2):
        overlay.take(found)

    catalog = overlay.catalog
    wanted = Catalog.of(Vocabulary.of(catalogs.IDS[: len(catalog)]), items)
    known_rows = np.flatnonzero(catalog.primaries >= 0).tolist()
    if len(known_rows) == len(catalog):  # else a parent may be among those nobody has named
        assert catalogs.told(catalog) == catalogs.told(wanted)
    assert {row for row, item in items.items() if item} <= set(known_rows)
    assert overlay.position == (register.last if items else overlay.position)
    assert len(overlay.served.popularity.order) == len(catalog)


class ByTitle:
    """Content vectors that can be foretold: along the first axis, as long as the title."""

    def vectors(self, items: Sequence[Item]) -> Vectors:
        return np.array([[len(item.title), 0, 0] for item in items], dtype=np.float32)


def test_newcomers_have_the_vectors_of_their_content_and_the_bundles_items_their_own() -> None:
    overlay, register = CatalogOverlay(shop.bundle(), ByTitle()), Register()
    register.put(1, "butter", Item(ItemId("butter"), "Best butter"))
    register.put(12, "rye bread", Item(ItemId("rye bread"), "Rye"))

    overlay.take(register.items_behind(Position(0), 9))

    factors = overlay.served.factors
    rows = np.array([1, 11, 12], dtype=np.int32)
    assert factors.of_rows(rows).tolist() == [
        shop.bundle().factors.items[1].tolist(),
        [0, 0, 0],
        [3, 0, 0],
    ]


def test_items_are_as_old_as_the_register_says() -> None:
    overlay, register = CatalogOverlay(shop.bundle()), Register()
    register.put(1, "butter", Item(ItemId("butter")))
    register.put(11, "rye bread", Item(ItemId("rye bread")))

    overlay.take(register.items_behind(Position(0), 9))

    noon = int(NOON.timestamp())
    assert overlay.catalog.since.tolist() == [0, noon, *[0] * 9, noon]


def test_item_that_says_again_what_the_bundle_says_costs_nothing() -> None:
    bundle, register = shop.bundle(), Register()
    since = np.full(len(shop.ITEMS), int(NOON.timestamp()), dtype=np.int64)
    overlay = CatalogOverlay(replace(bundle, catalog=replace(bundle.catalog, since=since)))
    for row, item in enumerate(shop.items()):
        register.put(row, item.item_id, item)

    overlay.take(register.items_behind(Position(0), 99))

    assert overlay.n_bytes() == 0
    assert overlay.position == len(shop.ITEMS)


def test_bytes_count_texts_and_columns_that_differ() -> None:
    overlay, register = CatalogOverlay(shop.bundle()), Register()
    register.put(0, "bread", replace(shop.items()[0], title="x" * 10_000, stock=0.0))

    overlay.take(register.items_behind(Position(0), 99))

    assert 10_000 < overlay.n_bytes() < 11_000


def test_bytes_count_attributes_that_differ() -> None:
    overlay, register = CatalogOverlay(shop.bundle()), Register()
    poem = Attribute("poem", "x" * 10_000)
    register.put(0, "bread", replace(shop.items()[0], attributes=(poem,)))

    overlay.take(register.items_behind(Position(0), 99))

    assert 10_000 < overlay.n_bytes() < 11_000
    assert overlay.catalog.attributes.at(0) == [poem]
