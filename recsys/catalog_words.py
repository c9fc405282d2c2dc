"""The words of a catalog: of titles, categories, brands and attributes, as they are now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from recsys.arrays import Mask, Rows, frozen, lengthened
from recsys.catalog import Catalog
from recsys.ids import Strings
from recsys.lists import Lists
from recsys.models.words import Postings, Spoken, WordIndex

MOST_CHANGED = 0.1
"""Share of items that may have changed before all words are looked at anew."""


@dataclass(frozen=True, slots=True)
class Indexed:
    """An index, and the catalog that its first part was made of."""

    catalog: Catalog
    index: WordIndex


@dataclass(frozen=True, slots=True, eq=False)
class CatalogWords:
    """The word index of a catalog, made when it is asked for first.

    before: made of an older catalog; of what is the same since nothing is made anew. made: a
    memory, which changes no answer.
    """

    catalog: Catalog
    before: Indexed | None = None
    made: list[Indexed] = field(default_factory=list, repr=False)

    @classmethod
    def of(cls, catalog: Catalog, before: Self | None = None) -> Self:
        """Return the words of a catalog that takes the place of one before."""
        if before is None:
            return cls(catalog)
        return cls(catalog, before.made[0] if before.made else before.before)

    def index(self) -> WordIndex:
        """Return the index of the catalog."""
        if not self.made:
            self.made.append(_indexed(self.catalog, self.before))
        return self.made[0].index

    def prepare(self, before: Self) -> None:
        """Make what one before was asked for, so that nobody waits."""
        if before.made:
            self.index()


def _indexed(catalog: Catalog, before: Indexed | None) -> Indexed:
    """Return the index of a catalog, the first part of one before within it if that is worth it."""
    changed = None if before is None else _changed(before.catalog, catalog)
    if before is None or changed is None or changed.mean() > MOST_CHANGED:
        every = np.arange(len(catalog), dtype=np.int32)
        nothing = np.zeros(len(catalog), dtype=np.bool_)
        empty = every[:0]
        index = WordIndex(postings(catalog, every), postings(catalog, empty), frozen(nothing))
        return Indexed(catalog, index)
    later = postings(catalog, np.flatnonzero(changed).astype(np.int32))
    return Indexed(before.catalog, WordIndex(before.index.first, later, frozen(changed)))


def postings(catalog: Catalog, rows: Rows) -> Postings:
    """Return the words of the items at these (m,) rows, ascending."""
    dictionary: dict[str, int] = {}
    every = len(rows) == len(catalog)
    titles: Iterable[str] = catalog.titles if every else catalog.titles.take(rows)
    spoken = Spoken.of(titles, dictionary)
    attributes = catalog.attributes
    lists = attributes.of_items.of_rows(rows)
    owners = np.repeat(rows, np.diff(lists.offsets))
    pairs = [
        spoken.by(rows, np.arange(len(rows), dtype=np.int32)),
        _of_names(rows, catalog.categories[rows], catalog.category_names, dictionary),
        _of_names(rows, catalog.brands[rows], catalog.brand_names, dictionary),
        _of_names(owners, lists.codes, attributes.pairs.values, dictionary),
    ]
    return Postings.of(pairs, dictionary)


def _of_names(
    items: Rows, codes: Rows, names: Strings, dictionary: dict[str, int]
) -> tuple[Rows, Rows]:
    """Return the pairs of item and word of (n,) items whose codes stand for these names."""
    used, places = np.unique(codes, return_inverse=True)
    return Spoken.of(names.take(used), dictionary).by(items, places.astype(np.int32))


def _changed(old: Catalog, new: Catalog) -> Mask | None:
    """Return (n_items,) whose words may be others now; None where the two cannot be compared."""
    columns = ((old.titles, new.titles), (old.category_names, new.category_names))
    comparable = all(one.data is other.data for one, other in columns)
    comparable &= old.brand_names.data is new.brand_names.data
    comparable &= old.attributes.pairs.n_kept == new.attributes.pairs.n_kept
    comparable &= old.attributes.pairs.order is new.attributes.pairs.order
    if not comparable or len(new) < len(old):
        return None
    changed = np.zeros(len(new), dtype=np.bool_)
    changed[len(old) :] = True
    changed[_retitled(old.titles, new.titles)] = True
    for before, now in ((old.categories, new.categories), (old.brands, new.brands)):
        changed |= lengthened(before, len(new), -1) != now
    changed[: len(old)] |= _relisted(old.attributes.of_items, new.attributes.of_items)
    return changed


def _retitled(old: Strings, new: Strings) -> list[int]:
    """Return the rows of titles over the same data that are others now."""
    rows = old.patches.keys() | new.patches.keys()
    return [row for row in rows if row >= len(old) or old[row] != new[row]]


def _relisted(old: Lists, new: Lists) -> Mask:
    """Return (n_old,) which lists hold other codes now."""
    if old is new:
        return np.zeros(len(old), dtype=np.bool_)
    n_old = len(old)
    changed: Mask = np.diff(old.offsets) != np.diff(new.offsets)[:n_old]
    same = np.flatnonzero(~changed).astype(np.int32)
    before, now = old.of_rows(same), new.of_rows(same)
    owners = np.repeat(same, np.diff(before.offsets))
    changed[owners[before.codes != now.codes]] = True
    return changed
