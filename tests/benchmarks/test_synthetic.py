from __future__ import annotations

import numpy as np

from benchmarks.synthetic import Shop, records_of
from recsys.events import EventType
from tests.shop import NOW


def drawn(n_items: int = 3_000) -> Shop:
    return Shop.drawn(n_items, 8, np.random.default_rng(7))


def test_drawn_shop_sells_few_items_most_of_the_time() -> None:
    chosen = drawn().choices(500, 40, np.random.default_rng(8))

    assert (chosen < 300).mean() > 0.5


def test_drawn_vectors_are_of_very_different_length() -> None:
    lengths = np.linalg.norm(drawn(20_000).vectors, axis=1)

    assert np.percentile(lengths, 99) > 5 * np.percentile(lengths, 50)


def test_drawn_neighbours_are_others_of_the_same_taste_each_once() -> None:
    shop = drawn()

    neighbors = shop.neighbors()

    for row in (0, 1_500, 2_999):
        found = neighbors.rows[neighbors.offsets[row] : neighbors.offsets[row + 1]]
        assert len(found) >= 25
        assert len(set(found.tolist())) == len(found)
        assert row not in found
        assert set(shop.tastes[found].tolist()) == {int(shop.tastes[row])}


def test_drawn_customers_have_a_hundred_purchases_and_a_full_history() -> None:
    records = list(records_of(drawn(), 2, np.random.default_rng(9), NOW))

    facts = [record.fact for record in records]
    assert len({record.position for record in records}) == 500
    assert sum(getattr(fact, "type", None) is EventType.PURCHASE for fact in facts) == 200
    assert all(0 <= record.item_row < 3_000 for record in records)
