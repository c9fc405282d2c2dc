"""Offers: on what terms each market sells the items that name markets, as ragged columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import (
    A,
    Mask,
    Offsets,
    Rows,
    Scores,
    entries_of,
    frozen,
    offsets_of,
    owners,
    written,
)
from recsys.items import Offer


@dataclass(frozen=True, slots=True)
class Offers:
    """The offers of each item, by ascending market.

    offsets: (n_items + 1,) int64 bounds; an item without offers is sold in every market.
    markets: (n,) int32 places in the catalog's `market_names`.
    prices, sale_prices: (n,) float32, NaN where unknown. sellable: (n,) bool.
    stocks: (n,) float32 pieces left, NaN where unknown.
    """

    offsets: Offsets
    markets: Rows
    prices: Scores
    sale_prices: Scores
    sellable: Mask
    stocks: Scores

    def __post_init__(self) -> None:
        columns = (self.markets, self.prices, self.sale_prices, self.sellable, self.stocks)
        if any(len(column) != self.offsets[-1] for column in columns):
            raise ValueError(f"{[len(column) for column in columns]} for {self.offsets[-1]} offers")

    @classmethod
    def of(cls, lengths: Sequence[int], markets: Rows, offers: Sequence[Offer]) -> Self:
        """Return these offers of items that have so many each, laid end to end.

        markets: (n,) int32, the place of each offer's market.
        """
        offsets = offsets_of(np.array(lengths, dtype=np.int64))
        order = np.lexsort((markets, owners(offsets)))
        return cls(
            frozen(offsets),
            frozen(markets[order].astype(np.int32)),
            frozen(numbers([offer.price for offer in offers])[order]),
            frozen(numbers([offer.sale_price for offer in offers])[order]),
            frozen(np.array([offer.sellable for offer in offers], dtype=np.bool_)[order]),
            frozen(numbers([offer.stock for offer in offers])[order]),
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def owners(self) -> Rows:
        """Return the row of each offer's item."""
        return owners(self.offsets)

    def limited(self) -> Mask:
        """Return (n_items,) whether the item is sold in the markets it names alone."""
        limited: Mask = self.offsets[1:] > self.offsets[:-1]
        return limited

    def naming(self, market: int) -> tuple[NDArray[np.int64], Rows]:
        """Return the (n,) places of a market's offers, and the rows of the items that make them."""
        places = np.flatnonzero(self.markets == market)
        rows = np.searchsorted(self.offsets, places, side="right") - 1
        return frozen(places), frozen(rows.astype(np.int32))

    def replaced(self, rows: Rows, offers: Offers, n_items: int) -> Offers:
        """Return the offers of `n_items` items, in which these (m,) rows have those of `offers`.

        rows: ascending, each once. n_items: no fewer than now.
        """
        grown = self._longer(n_items)
        lengths = np.diff(grown.offsets)
        places = entries_of(grown.offsets, rows)
        if np.array_equal(lengths[rows], np.diff(offers.offsets)) and np.array_equal(
            grown.markets[places], offers.markets
        ):
            return _on_terms(grown, places, offers)
        lengths[rows] = np.diff(offers.offsets)
        kept = np.ones(len(grown.markets), dtype=np.bool_)
        kept[places] = False
        by_row = np.concatenate((grown.owners()[kept], rows[offers.owners()]))
        order = np.argsort(by_row, kind="stable")

        def column(old: A, new: A) -> A:
            joined: Any = np.concatenate((old[kept], new))
            ordered: A = frozen(joined[order])
            return ordered

        return replace(
            grown,
            offsets=frozen(offsets_of(lengths)),
            markets=column(grown.markets, offers.markets),
            prices=column(grown.prices, offers.prices),
            sale_prices=column(grown.sale_prices, offers.sale_prices),
            sellable=column(grown.sellable, offers.sellable),
            stocks=column(grown.stocks, offers.stocks),
        )

    def _longer(self, n_items: int) -> Offers:
        more = n_items - len(self)
        if not more:
            return self
        bounds = np.concatenate((self.offsets, np.full(more, self.offsets[-1])))
        return replace(self, offsets=frozen(bounds))


def numbers(values: Sequence[float | None]) -> Scores:
    """Return these as (n,) float32, NaN for None."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float32)


def _on_terms(old: Offers, places: NDArray[np.int64], new: Offers) -> Offers:
    """Return the old offers with the terms of the new at these places."""
    return replace(
        old,
        prices=written(old.prices, places, new.prices),
        sale_prices=written(old.sale_prices, places, new.sale_prices),
        sellable=written(old.sellable, places, new.sellable),
        stocks=written(old.stocks, places, new.stocks),
    )
