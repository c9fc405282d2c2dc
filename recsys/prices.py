"""Prices: what each item costs in one market, as the shop wrote it."""

from __future__ import annotations

import numpy as np

from recsys.arrays import Rows, Scores, frozen
from recsys.assortment import ON_OWN_TERMS
from recsys.catalog import Catalog
from recsys.pairs import Numbers

_CENTS = 2
_MOST_DECIMALS = 8
_ROUNDING = 6


def exact(values: Scores) -> Numbers:
    """Return (n,) float64 nearest to the decimals that these float32 were written as: 9.99.

    Of more than seven digits a float32 does not tell all: from 131,072 on, cents may be off.
    """
    wide = values.astype(np.float64)
    found: Numbers = np.rint(wide * 10**_CENTS) / 10**_CENTS
    for decimals in range(_CENTS + 1, _MOST_DECIMALS + 1):
        other = np.flatnonzero((found.astype(np.float32) != values) & ~np.isnan(values))
        if not len(other):
            break
        found[other] = np.rint(wide[other] * 10**decimals) / 10**decimals
    return found


def list_prices_in(catalog: Catalog, market: int) -> Numbers:
    """Return (n_items,) float64 prices in a market before any sale, NaN where unknown.

    market: its place in `market_names`, as `recsys.assortment` resolves it.
    """
    return _in_market(catalog, market, catalog.items.prices, catalog.offers.prices)


def prices_in(catalog: Catalog, market: int) -> Numbers:
    """Return (n_items,) float64, what is to be paid in a market now: a sale price, if any."""
    items, offers = catalog.items, catalog.offers
    return _in_market(
        catalog,
        market,
        _either(items.sale_prices, items.prices),
        _either(offers.sale_prices, offers.prices),
    )


def stocks_in(catalog: Catalog, market: int) -> Numbers:
    """Return (n_items,) float64 pieces left for a market, NaN where unknown."""
    return _in_market(catalog, market, catalog.items.stocks, catalog.offers.stocks)


def discounts(list_prices: Numbers, prices: Numbers) -> Numbers:
    """Return (n,) float64 shares of the list price that are taken off, 0 to 1, NaN: unknown."""
    off = np.maximum(list_prices - prices, 0.0)
    np.divide(off, list_prices, out=off, where=list_prices > 0)
    # 0.55 off 5.50 is 0.1, and a hair less in binary.
    return frozen(off.round(_ROUNDING))


def _in_market(catalog: Catalog, market: int, own: Scores, offered: Scores) -> Numbers:
    """Return what holds in a market: of items without offers their own, else what it offers."""
    if market == ON_OWN_TERMS:
        return frozen(exact(own))
    places, rows = catalog.offers.naming(market)
    return frozen(exact(_with_offers(catalog, own, rows, offered[places])))


def _with_offers(catalog: Catalog, own: Scores, rows: Rows, offered: Scores) -> Scores:
    column: Scores = np.where(catalog.offers.limited(), np.float32(np.nan), own)
    column[rows] = offered
    return column


def _either(first: Scores, second: Scores) -> Scores:
    either: Scores = np.where(np.isnan(first), second, first)
    return either
