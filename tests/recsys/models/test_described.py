from __future__ import annotations

import numpy as np

from recsys.ids import ItemId
from recsys.items import Attribute, Item
from recsys.models.described import Descriptions, features_of, path_of

MUG = Item(
    ItemId("1"),
    "Blue MUG",
    "Kitchen > Mugs",
    "Acme",
    price=8.0,
    description="A mug",
    attributes=(Attribute("Colour", "Sky blue"),),
)


def test_everything_that_is_said_of_an_item_is_a_feature() -> None:
    found = features_of(MUG)

    assert found == [
        "category:kitchen",
        "category:kitchen > mugs",
        "brand:acme",
        "brand:acme in kitchen",
        "brand:acme in kitchen > mugs",
        "title:blue",
        "title:mug",
        "title:blue mug",
        "description:a",
        "description:mug",
        "attribute:colour=sky blue",
        "value:sky",
        "value:blue",
        "price:6",
        "price:6 in kitchen",
    ]


def test_prices_within_half_an_octave_are_alike() -> None:
    prices = [Item(ItemId("1"), price=price) for price in (8.0, 11.0, 12.0)]

    found = [features_of(item) for item in prices]

    assert found[0] == found[1] != found[2]


def test_an_item_that_says_nothing_has_no_feature() -> None:
    nothing = [Item(ItemId("1")), Item(ItemId("2"), price=0.0, category=" > ", brand=" ")]

    assert len(Descriptions.of(nothing).hashes) == 0


def test_a_category_is_the_path_to_it() -> None:
    assert path_of("Kitchen > Mugs") == path_of("Kitchen>Mugs>") == ("Kitchen", "Mugs")
    assert path_of("") == ()


def test_descriptions_of_rows_are_those_of_their_items() -> None:
    items = [MUG, Item(ItemId("2"), "Spoon"), Item(ItemId("3")), Item(ItemId("4"), "Blue fork")]
    rows = np.array([3, 0, 2], dtype=np.int32)

    taken = Descriptions.of(items).take(rows)

    alone = Descriptions.of([items[row] for row in rows])
    assert taken.offsets.tolist() == alone.offsets.tolist()
    assert taken.hashes.tolist() == alone.hashes.tolist()


def test_a_row_without_an_item_says_nothing() -> None:
    found = Descriptions.of_rows({1: Item(ItemId("2"), "Spoon")}, 3)

    assert np.diff(found.offsets).tolist() == [0, 1, 0]
