"""Changes of a catalog: a new one of which all that stayed is shared with the old."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import Rows, Seconds, frozen, lengthened, written
from recsys.catalog import Catalog, ItemColumns, offers_of
from recsys.groups import NO_GROUP, Groups, primaries_of
from recsys.ids import UNKNOWN_ROW, ItemId, Strings, Vocabulary, hashes_of
from recsys.items import Attribute, Item
from recsys.offers import Offers

_UNDESCRIBED = ItemColumns.of([None])


@dataclass(frozen=True, slots=True)
class Names:
    """Where each name stands among the names of a catalog."""

    categories: Vocabulary
    brands: Vocabulary
    markets: Vocabulary
    groups: Vocabulary

    @classmethod
    def of(cls, catalog: Catalog) -> Self:
        """Return the places of a catalog's names."""
        columns = (
            catalog.category_names,
            catalog.brand_names,
            catalog.market_names,
            catalog.groups.names,
        )
        return cls(*(_found_by_hash(names) for names in columns))


@dataclass(frozen=True, slots=True)
class Change:
    """What is true of an item now; an item of None was removed.

    since: the second at which it was described first; 0 where unknown.
    """

    item_id: ItemId
    item: Item | None
    since: int = 0


def changed(catalog: Catalog, names: Names, changes: Mapping[int, Change]) -> tuple[Catalog, Names]:
    """Return the catalog, and its names, in which the items of these rows are what is said here.

    A row behind the catalog's lengthens it; rows between are of items that are not described.
    """
    if not changes:
        return catalog, names
    now = _Now.of(catalog, changes)
    vocabulary = catalog.vocabulary.grown(now.new_ids(catalog), now.n_items)
    categories, category_rows = _placed(names.categories, now.texts("category"))
    brands, brand_rows = _placed(names.brands, now.texts("brand"))
    offers, markets = now.offers(names.markets)
    groups, group_names = _grouped(catalog.groups, names.groups, vocabulary, now)
    return (
        Catalog(
            vocabulary,
            now.patched(catalog.titles, "title"),
            written(lengthened(catalog.categories, now.n_items, 0), now.rows, category_rows),
            categories.ids,
            written(lengthened(catalog.brands, now.n_items, 0), now.rows, brand_rows),
            brands.ids,
            _columns(catalog, now),
            markets.ids,
            catalog.offers.replaced(now.rows, offers, now.n_items),
            groups,
            now.patched(catalog.urls, "url"),
            now.patched(catalog.image_urls, "image_url"),
            written(lengthened(catalog.since, now.n_items, 0), now.rows, now.since),
            catalog.attributes.replaced(now.rows, now.attributes(), now.n_items),
        ),
        Names(categories, brands, markets, group_names),
    )


@dataclass(frozen=True, slots=True)
class _Now:
    """What is true of some rows now, ascending, in a catalog of `n_items` rows."""

    rows: Rows
    ids: tuple[ItemId, ...]
    items: tuple[Item | None, ...]
    since: Seconds
    n_items: int

    @classmethod
    def of(cls, catalog: Catalog, changes: Mapping[int, Change]) -> Self:
        rows = np.array(sorted(changes), dtype=np.int32)
        every = [changes[row] for row in rows.tolist()]
        n_items = max(len(catalog), int(rows[-1]) + 1)
        ids, items = tuple(one.item_id for one in every), tuple(one.item for one in every)
        since = np.array([one.since for one in every], dtype=np.int64)
        return cls(rows, ids, items, since, n_items)

    def texts(self, name: str) -> list[str]:
        return [getattr(item, name) if item else "" for item in self.items]

    def attributes(self) -> list[tuple[Attribute, ...]]:
        return [item.attributes if item else () for item in self.items]

    def patched(self, column: Strings, name: str) -> Strings:
        return column.patched(
            dict(zip(self.rows.tolist(), self.texts(name), strict=True)), self.n_items
        )

    def new_ids(self, catalog: Catalog) -> dict[int, str]:
        """Return the ids of rows that had none."""
        known = lengthened(catalog.primaries, self.n_items, UNKNOWN_ROW)[self.rows] != UNKNOWN_ROW
        pairs = zip(self.rows.tolist(), self.ids, known.tolist(), strict=True)
        return {row: item_id for row, item_id, old in pairs if not old}

    def offers(self, markets: Vocabulary) -> tuple[Offers, Vocabulary]:
        named = (offer.market for item in self.items if item for offer in item.offers)
        markets, _ = _placed(markets, list(named))
        return offers_of(self.items, markets.rows), markets


def _columns(catalog: Catalog, now: _Now) -> ItemColumns:
    """Return the columns of numbers; where nothing was described before, nothing is listed."""
    old, new = catalog.items, ItemColumns.of(now.items)
    if catalog.events_only:
        nothing = frozen(np.zeros(len(catalog), dtype=np.bool_))
        old = replace(old, listed=nothing, sellable=nothing)
    columns = [
        written(
            lengthened(getattr(old, one.name), now.n_items, getattr(_UNDESCRIBED, one.name)[0]),
            now.rows,
            getattr(new, one.name),
        )
        for one in fields(ItemColumns)
    ]
    return ItemColumns(*columns)


def _grouped(
    groups: Groups, names: Vocabulary, vocabulary: Vocabulary, now: _Now
) -> tuple[Groups, Vocabulary]:
    """Return the groups, and their names, once these rows are in the groups they say."""
    named, n_names = now.texts("group_id"), len(names)
    names, _ = _placed(names, [name for name in named if name])
    own = names.rows([name or item_id for name, item_id in zip(named, now.ids, strict=True)])
    own[own == UNKNOWN_ROW] = NO_GROUP
    before = lengthened(groups.codes, now.n_items, NO_GROUP)
    new = np.arange(n_names, len(names), dtype=np.int32)
    codes = _with_parents(written(before, now.rows, own), new, names, vocabulary)
    grown = Groups(
        names.ids,
        codes,
        _alone(lengthened(groups.primaries, now.n_items, UNKNOWN_ROW), codes, now.rows),
        lengthened(groups.parents, now.n_items, False),
    )
    if codes is groups.codes and grown.primaries is groups.primaries:
        return groups, names
    moved = now.rows[before[now.rows] != codes[now.rows]]
    touched = np.unique(np.concatenate((before[moved], codes[moved], new)))
    return _led(grown, touched[touched != NO_GROUP], vocabulary), names


def _with_parents(codes: Rows, new: Rows, names: Vocabulary, vocabulary: Vocabulary) -> Rows:
    """Return the codes with the items that bear a new group's name, and name none, in that."""
    born = vocabulary.rows(names.ids.take(new))
    waiting = (born != UNKNOWN_ROW) & (codes[born] == NO_GROUP)
    return written(codes, born[waiting], new[waiting])


def _alone(primaries: Rows, codes: Rows, rows: Rows) -> Rows:
    """Return the primaries in which those of these rows that are in no group stand alone."""
    alone = rows[codes[rows] == NO_GROUP]
    return written(primaries, alone, alone)


def _led(groups: Groups, touched: Rows, vocabulary: Vocabulary) -> Groups:
    """Return the groups once those of these codes have found their parents and primaries."""
    if not len(touched):
        return groups
    wanted = np.zeros(len(groups.names), dtype=np.bool_)
    wanted[touched] = True
    members = np.flatnonzero(wanted[groups.codes]).astype(np.int32)
    codes = groups.codes[members]
    parents = np.zeros(len(members), dtype=np.bool_)
    born = vocabulary.rows(groups.names.take(touched))
    parents[np.isin(members, born[groups.codes[born] == touched])] = True
    left = groups.parents & (groups.codes == NO_GROUP)
    marks = written(groups.parents, np.flatnonzero(left), np.zeros(int(left.sum()), dtype=np.bool_))
    return replace(
        groups,
        primaries=written(groups.primaries, members, primaries_of(members, codes, parents)),
        parents=written(marks, members, parents),
    )


def _placed(names: Vocabulary, texts: Sequence[str]) -> tuple[Vocabulary, Rows]:
    """Return the names with those among these that are new, and where each stands."""
    distinct = list(dict.fromkeys(texts))
    rows = names.rows(distinct)
    new = [text for text, row in zip(distinct, rows.tolist(), strict=True) if row == UNKNOWN_ROW]
    n_names = len(names) + len(new)
    names = names.grown(dict(enumerate(new, start=len(names))), n_names)
    places = dict(zip(distinct, names.rows(distinct).tolist(), strict=True))
    return names, np.fromiter((places[text] for text in texts), np.int32, len(texts))


def _found_by_hash(names: Strings) -> Vocabulary:
    """Return a column of names as a vocabulary over the same bytes."""
    hashes: NDArray[np.uint64] = hashes_of([names[row] for row in range(len(names))])
    order = np.argsort(hashes, kind="stable").astype(np.int32)
    return Vocabulary(names, frozen(hashes[order]), frozen(order))
