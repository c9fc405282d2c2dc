"""The words of the catalog are gathered before anyone searches, and again when it changes."""

from __future__ import annotations

from recsys.events import Position
from recsys.ids import ItemId
from recsys.items import Item
from recsys.pipeline.placement import parse_placements
from recsys.query import Scene
from recsys.state import UserState
from serving.overlay import CatalogOverlay
from serving.snapshot import Snapshot
from tests import shop
from tests.serving.registers import Register

PLACEMENTS = parse_placements(
    """
[placements.found]
size = 3
sources = [{ kind = "searched", k = 10 }]
"""
)


def test_a_snapshot_that_is_warm_has_the_words_of_its_catalog() -> None:
    cold, warm = (Snapshot.of(shop.bundle(), PLACEMENTS) for _ in range(2))

    warm.warm(lambda: shop.NOW)

    gathered = [bool(one.placements.conditions.words.made) for one in (cold, warm)]
    assert gathered == [False, True]


def test_an_item_described_since_is_found_by_words_that_were_there_when_it_is_served() -> None:
    overlay, register = CatalogOverlay(shop.bundle()), Register()
    before = Snapshot.of(shop.bundle(), PLACEMENTS)
    before.warm(lambda: shop.NOW)
    register.put(10, "kettle", Item(ItemId("kettle"), "Steel kettle"))
    overlay.take(register.items_behind(Position(0), 9))

    now = Snapshot.of(overlay.served, PLACEMENTS, before)
    now.prepare(before, int(shop.NOW.timestamp()))

    assert now.placements.conditions.words.made
    asked = now.resolve([shop.query("found", scene=Scene(search="kettle"))], [UserState.unknown()])
    assert now.pipelines["found"].run(asked).rows.tolist() == [10]
