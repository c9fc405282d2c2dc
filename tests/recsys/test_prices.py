from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.assortment import ON_OWN_TERMS, UNNAMED
from recsys.catalog import Catalog
from recsys.ids import ItemId, Vocabulary
from recsys.items import Item, Offer
from recsys.prices import discounts, exact, list_prices_in, prices_in, stocks_in

UNKNOWN = -1.0
"""Stands for NaN, so that lists can be compared."""

ITEMS = (
    Item(ItemId("everywhere"), price=10.0, sale_price=7.99, stock=3.0),
    Item(
        ItemId("abroad"),
        price=20.0,
        stock=9.0,
        offers=(Offer("AT", 21.0, sale_price=19.9), Offer("DE", 18.0, stock=4.0)),
    ),
    Item(ItemId("only AT"), price=5.0, offers=(Offer("AT", 6.0),)),
    Item(ItemId("priceless")),
)
CATALOG = Catalog.of(Vocabulary.of([item.item_id for item in ITEMS]), dict(enumerate(ITEMS)))
AT, DE = 1, 2


@given(cents=st.integers(0, 13_107_199))
def test_price_in_cents_is_what_the_shop_wrote(cents: int) -> None:
    written = float(f"{cents / 100:.2f}")

    assert exact(np.array([written], dtype=np.float32)).tolist() == [written]


@pytest.mark.parametrize("written", [0.125, 0.001, 1.2345, 12345.678, 0.1234567, 16_777_216.0])
def test_price_of_more_decimals_is_what_the_shop_wrote(written: float) -> None:
    assert exact(np.array([written], dtype=np.float32)).tolist() == [written]


@given(price=st.floats(0, 999_999_995_904, width=32))
def test_exact_number_is_the_same_float32(price: float) -> None:
    prices = np.array([price, np.nan], dtype=np.float32)

    np.testing.assert_array_equal(exact(prices)[1:].astype(np.float32), prices[1:])
    np.testing.assert_allclose(exact(prices)[:1], prices[:1], rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize(
    ("market", "paid", "listed", "stocks"),
    [
        (
            ON_OWN_TERMS,
            [7.99, 20.0, 5.0, UNKNOWN],
            [10.0, 20.0, 5.0, UNKNOWN],
            [3.0, 9.0, UNKNOWN, UNKNOWN],
        ),
        (AT, [7.99, 19.9, 6.0, UNKNOWN], [10.0, 21.0, 6.0, UNKNOWN], [3.0] + [UNKNOWN] * 3),
        (
            DE,
            [7.99, 18.0] + [UNKNOWN] * 2,
            [10.0, 18.0] + [UNKNOWN] * 2,
            [3.0, 4.0] + [UNKNOWN] * 2,
        ),
        (UNNAMED, [7.99] + [UNKNOWN] * 3, [10.0] + [UNKNOWN] * 3, [3.0] + [UNKNOWN] * 3),
    ],
)
def test_terms_are_those_of_the_market(
    market: int, paid: list[float], listed: list[float], stocks: list[float]
) -> None:
    assert [CATALOG.market_names[place] for place in (AT, DE)] == ["AT", "DE"]

    for found, wanted in (
        (prices_in(CATALOG, market), paid),
        (list_prices_in(CATALOG, market), listed),
        (stocks_in(CATALOG, market), stocks),
    ):
        assert np.nan_to_num(found, nan=UNKNOWN).tolist() == wanted


def test_discount_is_the_share_that_is_taken_off() -> None:
    lists = np.array([5.5, 10.0, 10.0, 0.0, np.nan, 10.0])
    prices = np.array([4.95, 12.0, 0.0, 0.0, 5.0, np.nan])

    found = discounts(lists, prices)

    np.testing.assert_array_equal(found, [0.1, 0.0, 1.0, 0.0, np.nan, np.nan])
