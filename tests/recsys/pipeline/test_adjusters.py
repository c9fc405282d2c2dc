from __future__ import annotations

import numpy as np
import pytest

from recsys.assortment import Assortment
from recsys.candidates import Candidates
from recsys.catalog import Catalog
from recsys.conditions import Conditions
from recsys.events import EventType
from recsys.ids import ItemId, Vocabulary
from recsys.items import Attribute, Item
from recsys.pipeline.adjusters import Objectives, Rotation, lifted, standing
from recsys.query import Selection
from recsys.state import UserState
from tests import shop

VALUES = Conditions.of(Assortment.of(shop.catalog())).values
NOBODY = shop.contexts([UserState.unknown()])


def candidates(*items: str, scores: float = 1.0) -> Candidates:
    """Return these items for the first query, all under one score."""
    rows = np.array([shop.ROW[item] for item in items], dtype=np.int32)
    return Candidates.of(np.zeros_like(rows), rows, np.full(len(rows), scores, dtype=np.float32))


SHOWN = shop.state(
    (EventType.IMPRESSION, "bread", 1.0),
    (EventType.IMPRESSION, "bread", 2.0),
    (EventType.IMPRESSION, "butter", 1.0),
    (EventType.IMPRESSION, "jam", 3.0),
    (EventType.CLICK, "jam", 2.0),
    (EventType.IMPRESSION, "milk", 3.0),
    (EventType.PURCHASE, "milk", 2.0),
    (EventType.CLICK, "sugar", 2.0),
    (EventType.IMPRESSION, "sugar", 1.0),
    (EventType.IMPRESSION, "tea", 30.0),
)


def test_what_was_shown_in_vain_steps_back_the_more_the_oftener() -> None:
    found = candidates("bread", "butter", "jam", "milk", "sugar", "tea", "soap")

    scores = Rotation(0.5, days=7.0).adjust(shop.contexts([SHOWN]), found)

    assert scores.tolist() == pytest.approx([0.25, 0.5, 1, 1, 0.5, 1, 1])


def test_at_a_rate_of_one_what_was_shown_comes_last_in_its_old_order() -> None:
    found = candidates("bread", "butter", "soap").scored(np.array([3.0, 2.0, 0.1], np.float32))

    scores = Rotation(1.0, days=7.0).adjust(shop.contexts([SHOWN]), found)

    assert np.argsort(-scores).tolist() == [2, 1, 0]


def test_a_request_has_its_own_rate_and_zero_turns_rotation_off() -> None:
    rotation, found = Rotation(0.5, days=7.0), candidates("butter")
    off, strong = (shop.query(selection=Selection(rotation_rate=rate)) for rate in (0.0, 0.9))

    scores = [
        float(rotation.adjust(shop.contexts([SHOWN], [query]), found)[0]) for query in (off, strong)
    ]

    assert scores == pytest.approx([1.0, 0.1])


def test_nothing_shown_is_read_where_nobody_asks_for_rotation() -> None:
    contexts, found = shop.contexts([SHOWN]), candidates("bread")

    scores = Rotation(0.0, days=7.0).adjust(contexts, found)

    assert scores is found.scores
    assert "shown" not in contexts.lines.made


def test_the_dearest_is_lifted_and_the_cheapest_lowered_by_the_weight() -> None:
    found = candidates("bread", "coffee", "cake")  # 1, 4 and 10

    scores = Objectives({"price": 0.2}, VALUES).adjust(NOBODY, found)

    assert scores.tolist() == pytest.approx([np.exp(-0.2), 1, np.exp(0.2)])


def test_objectives_add_up_and_what_is_not_known_lifts_nothing() -> None:
    margins = {"bread": "0.1", "coffee": "0.3"}
    described = {
        row: Item(
            ItemId(name),
            price=1.0 + row,
            attributes=(Attribute("margin", margins[name]),) if name in margins else (),
        )
        for row, name in enumerate(shop.ITEMS)
    }
    catalog = Catalog.of(Vocabulary.of(shop.ITEMS), described)
    values = Conditions.of(Assortment.of(catalog)).values
    found = candidates("bread", "coffee", "cake")

    scores = Objectives({"price": 0.2, "margin": 0.5, "risk": 1.0}, values).adjust(NOBODY, found)

    assert scores.tolist() == pytest.approx([np.exp(-0.2 - 0.5), np.exp(0.5), np.exp(0.2)])


def test_numbers_stand_among_those_of_their_query_and_equals_alike() -> None:
    queries = np.array([0, 1, 0, 0, 0, 1, 2], dtype=np.int32)
    numbers = np.array([5.0, 9.0, np.nan, 1.0, 5.0, 2.0, 7.0])

    assert standing(queries, numbers).tolist() == [0.5, 1.0, 0.0, -1.0, 0.5, -1.0, 0.0]


def test_a_lift_raises_scores_below_nothing_as_well() -> None:
    scores = np.array([2.0, -2.0, 0.0], dtype=np.float32)

    found = lifted(scores, np.log(np.array([2.0, 2.0, 2.0])))

    assert found.tolist() == pytest.approx([4.0, -1.0, 0.0])
