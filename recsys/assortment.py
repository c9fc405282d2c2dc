"""The assortment: what may be shown in which market at which second, and in whose stead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import Mask, Rows, Seconds, frozen
from recsys.catalog import NEVER, Catalog
from recsys.groups import NO_GROUP, Groups
from recsys.ids import Vocabulary

ON_OWN_TERMS, UNNAMED = 0, -1
"""Places of the market of who names none, and of markets that no item names."""


@dataclass(frozen=True, slots=True, eq=False)
class Shelf:
    """What may be shown in one market from one second until the next dated change.

    since, until: seconds; `until` is the first that is past it.
    products: (n_items,) bool, the primaries: all that can ever be a candidate.
    allowed: (n_items,) bool, primaries that may be shown, themselves or in a variant.
    heads: (n,) int32 primaries, ascending, in whose stead a variant is shown: that in `faces`.
    """

    since: int
    until: int
    products: Mask
    allowed: Mask
    heads: Rows
    faces: Rows

    def covers(self, now: int) -> bool:
        """Return whether this is what may be shown at a second."""
        return self.since <= now < self.until

    def shown(self, rows: Rows) -> Rows:
        """Return the row to show for each of these (n,) primaries."""
        if not len(self.heads):
            return rows
        places = np.minimum(np.searchsorted(self.heads, rows), len(self.heads) - 1)
        return np.where(self.heads[places] == rows, self.faces[places], rows)


@dataclass(frozen=True, slots=True, eq=False)
class Assortment:
    """What a catalog allows to be shown. A row may be shown where it is

    listed, within its dates, and sold in the market: on the terms of its offer there; on its own
    where it names no market at all, or where no market is asked for. A market that no item names
    has the items that name none.

    Variants are one product: their primary is allowed where any of them is. It is shown itself if
    it may be, or if it is the parent of the others, listed, within its dates and not kept to other
    markets; else the first variant is that may be shown.

    products: (n_items,) bool, the primaries: all that can ever be a candidate.
    variants: groups of more rows than one. edges: (n,) int64 seconds at which selling of something
        begins or ends, ascending. markets: places of those that items name. offers: places and rows
        of those of a market. shelves: of a market. The last two are memories, which change no
        answer.
    """

    catalog: Catalog
    products: Mask
    variants: Variants
    edges: Seconds
    markets: Mapping[str, int]
    offers: dict[int, tuple[NDArray[np.int64], Rows]]
    shelves: dict[int, Shelf] = field(default_factory=dict)

    @classmethod
    def of(cls, catalog: Catalog, before: Self | None = None) -> Self:
        """Return the assortment of a catalog; what it shares with one before is not made anew."""
        groups, names = catalog.groups, catalog.market_names
        if before is None or before.catalog.groups is not groups:
            products, variants = _products(groups), Variants.of(groups)
        else:
            products, variants = before.products, before.variants
        if before is None or not _same_dates(before.catalog, catalog):
            edges = _edges(catalog)
        else:
            edges = before.edges
        if before is None or before.catalog.market_names is not names:
            markets: Mapping[str, int] = {names[place]: place for place in range(len(names))}
        else:
            markets = before.markets
        same = before is not None and before.catalog.offers.markets is catalog.offers.markets
        offers = before.offers if before is not None and same else {}
        return cls(catalog, products, variants, edges, markets, offers)

    @property
    def vocabulary(self) -> Vocabulary:
        """The ids behind the rows."""
        return self.catalog.vocabulary

    @property
    def primaries(self) -> Rows:
        """(n_items,) int32, the row that stands for each item; -1 where its id is not known."""
        return self.catalog.primaries

    def shelf(self, market: str, now: int) -> Shelf:
        """Return what may be shown in a market at a second; kept until the next dated change."""
        place = self.markets.get(market, UNNAMED)
        kept = self.shelves.get(place)
        if kept is None or not kept.covers(now):
            kept = self.shelves[place] = self._made(place, now)
        return kept

    def prepare(self, before: Self, now: int) -> None:
        """Make the shelves of the markets that one before was asked for, so that nobody waits."""
        for place in list(before.shelves):
            self.shelves[place] = self._made(place, now)

    def allowed(self, market: str, now: int) -> Mask:
        """Return (n_items,) which primaries may be shown, themselves or in a variant."""
        return self.shelf(market, now).allowed

    def shown(self, rows: Rows, market: str, now: int) -> Rows:
        """Return the row to show for each of these (n,) allowed primaries."""
        return self.shelf(market, now).shown(rows)

    def _made(self, market: int, now: int) -> Shelf:
        items, edges = self.catalog.items, self.edges
        past = int(np.searchsorted(edges, now, side="right"))
        dated = (items.available_from <= now) & (now < items.expires)
        named, sold = self._sold(market)
        sold = sold & dated
        allowed = sold & self.products
        heads, first = self.variants.first(sold)
        allowed[heads] = True
        parents = self.catalog.groups.parents[heads] & (items.listed & dated)[heads] & named[heads]
        other = ~(sold[heads] | parents)
        return Shelf(
            since=int(edges[past - 1]) if past else 0,
            until=int(edges[past]) if past < len(edges) else NEVER,
            products=self.products,
            allowed=frozen(allowed),
            heads=heads[other],
            faces=first[other],
        )

    def _sold(self, market: int) -> tuple[Mask, Mask]:
        """Return (n_items,) which items are not kept to other markets, and which are sold there."""
        items, offers = self.catalog.items, self.catalog.offers
        if market == ON_OWN_TERMS:
            return np.ones(len(items), dtype=np.bool_), items.sellable
        named, sold = np.zeros((2, len(items)), dtype=np.bool_)
        if market != UNNAMED:
            if market not in self.offers:
                self.offers[market] = offers.naming(market)
            places, rows = self.offers[market]
            named[rows] = True
            sold[rows] = offers.sellable[places]  # a market has one offer of an item
        everywhere = ~offers.limited()
        return named | everywhere, (sold & items.listed) | (everywhere & items.sellable)


@dataclass(frozen=True, slots=True)
class Variants:
    """The rows of each group.

    heads: (n_groups,) int32 primaries, ascending. starts: (n_groups,) int64, where the rows of each
    group begin in `members`, (n,) int32, which ascend within it.
    """

    heads: Rows
    starts: NDArray[np.int64]
    members: Rows

    @classmethod
    def of(cls, groups: Groups) -> Self:
        """Return the variants of some groups."""
        members = np.flatnonzero(groups.codes != NO_GROUP).astype(np.int32)
        members = members[np.argsort(groups.primaries[members], kind="stable")]
        heads, starts = np.unique(groups.primaries[members], return_index=True)
        return cls(frozen(heads), frozen(starts), frozen(members))

    def first(self, sold: Mask) -> tuple[Rows, Rows]:
        """Return the primaries with a variant in the (n_items,) mask, and the first of each."""
        beyond = len(self.members)
        places = np.where(sold[self.members], np.arange(beyond), beyond)
        found = np.minimum.reduceat(places, self.starts) if beyond else places
        some = np.flatnonzero(found < beyond)
        return self.heads[some], self.members[found[some]]


def _products(groups: Groups) -> Mask:
    return frozen(groups.primaries == np.arange(len(groups), dtype=np.int32))


def _same_dates(old: Catalog, new: Catalog) -> bool:
    return (
        old.items.available_from is new.items.available_from
        and old.items.expires is new.items.expires
    )


def _edges(catalog: Catalog) -> Seconds:
    """Return the seconds at which something begins or ends to be sold, ascending."""
    begin, end = catalog.items.available_from, catalog.items.expires
    return np.unique(np.concatenate((begin[begin > 0], end[end < NEVER])))
