"""Why an item may not be sold in a market at a second."""

from __future__ import annotations

import numpy as np

from recsys.assortment import ON_OWN_TERMS, UNNAMED, Assortment
from recsys.catalog import Catalog
from recsys.why.explanation import FindingCode


def unsold(assortment: Assortment, row: int, market: str, now: int) -> tuple[FindingCode, ...]:
    """Return all that keeps an item by itself from being sold; nothing where it is.

    now: seconds since 1970. What a variant of it may be is not looked at.
    """
    items = assortment.catalog.items
    if not items.listed[row]:
        told = _is_described(assortment.catalog, row)
        return (FindingCode.HIDDEN if told else FindingCode.NOT_DESCRIBED,)
    found = []
    if now < items.available_from[row]:
        found.append(FindingCode.NOT_YET_SOLD)
    if now >= items.expires[row]:
        found.append(FindingCode.NO_LONGER_SOLD)
    terms = _on_terms(assortment, row, assortment.markets.get(market, UNNAMED))
    return (*found, terms) if terms else tuple(found)


def _on_terms(assortment: Assortment, row: int, market: int) -> FindingCode | None:
    """Return what keeps an item from being sold on its terms in a market; None for nothing."""
    items, offers = assortment.catalog.items, assortment.catalog.offers
    own = slice(offers.offsets[row], offers.offsets[row + 1])
    sellable, stock = items.sellable[row], items.stocks[row]
    if market != ON_OWN_TERMS and own.start < own.stop:
        there = own.start + np.flatnonzero(offers.markets[own] == market)
        if not len(there):
            return FindingCode.OTHER_MARKETS
        sellable, stock = offers.sellable[there[0]], offers.stocks[there[0]]
    if sellable:
        return None
    return FindingCode.SOLD_OUT if stock == 0 else FindingCode.NOT_AVAILABLE


def _is_described(catalog: Catalog, row: int) -> bool:
    """Return whether anything is told of an item: of one that was taken out, nothing is."""
    texts = (catalog.titles, catalog.urls, catalog.image_urls)
    return bool(
        any(column[row] for column in texts)
        or catalog.categories[row]
        or catalog.brands[row]
        or not np.isnan(catalog.prices[row])
        or catalog.attributes.at(row)
    )
