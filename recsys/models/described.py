"""What an item's description says of it, as features: text in, sorted numbers out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import floor, log2
from typing import Self

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import Offsets, Rows, frozen, offsets_of, owners
from recsys.ids import ItemId, hashes_of
from recsys.items import Item

Hashes = NDArray[np.uint64]

_WORD = re.compile(r"[^\W_]+")
_BANDS_AN_OCTAVE = 2


@dataclass(frozen=True, slots=True)
class Descriptions:
    """The features of some items, as ragged columns of hashes; a text counts once an item.

    offsets: (n_items + 1,) int64 bounds. hashes: (n,) uint64.
    """

    offsets: Offsets
    hashes: Hashes

    @classmethod
    def of(cls, items: Iterable[Item]) -> Self:
        """Return the features of these items, in order."""
        places: dict[str, int] = {}
        lengths: list[int] = []
        found: list[int] = []
        for item in items:
            own = [places.setdefault(text, len(places)) for text in features_of(item)]
            lengths.append(len(own))
            found += own
        hashes = hashes_of(list(places))[np.array(found, dtype=np.int64)]
        return cls(frozen(offsets_of(np.array(lengths, dtype=np.int64))), frozen(hashes))

    @classmethod
    def of_rows(cls, items: Mapping[int, Item | None], n_items: int) -> Self:
        """Return the features of the items at rows 0 to n_items - 1; none at a row without one."""
        nothing = Item(ItemId(""))
        return cls.of(items.get(row) or nothing for row in range(n_items))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def owners(self) -> Rows:
        """Return each feature's item."""
        return owners(self.offsets)

    def take(self, rows: Rows) -> Self:
        """Return the features of the items at these (m,) rows."""
        lengths = np.diff(self.offsets)[rows]
        offsets = offsets_of(lengths)
        within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
        return type(self)(offsets, self.hashes[np.repeat(self.offsets[rows], lengths) + within])


def features_of(item: Item) -> list[str]:
    """Return what is said of an item, each thing once.

    Its category with every category above it, its brand, alone and within each of those, the
    words of its title, alone and in pairs, the words of its description, its attributes, whole
    and in words, and its price within half an octave. Capitals make no difference.
    """
    path = prefixes(path_of(item.category.casefold()))
    return list(dict.fromkeys((*_places(item, path), *_texts(item), *_prices(item, path))))


def path_of(category: str) -> tuple[str, ...]:
    """Return the names on the way to a category, from the root: `A > B` is A, B."""
    return tuple(name for part in category.split(">") if (name := part.strip()))


def prefixes(path: Sequence[str]) -> list[str]:
    """Return each category on a path, written with those above it, from the root."""
    return [" > ".join(path[: depth + 1]) for depth in range(len(path))]


def _places(item: Item, path: Sequence[str]) -> Iterator[str]:
    brand = item.brand.strip().casefold()
    yield from (f"category:{category}" for category in path)
    if brand:
        yield f"brand:{brand}"
        yield from (f"brand:{brand} in {category}" for category in path)


def _texts(item: Item) -> Iterator[str]:
    title = _words(item.title)
    yield from (f"title:{word}" for word in title)
    yield from (f"title:{one} {two}" for one, two in pairwise(title))
    yield from (f"description:{word}" for word in _words(item.description))
    for attribute in item.attributes:
        yield f"attribute:{attribute.name.casefold()}={attribute.value.casefold()}"
        yield from (f"value:{word}" for word in _words(attribute.value))


def _prices(item: Item, path: Sequence[str]) -> Iterator[str]:
    if item.price:
        band = floor(_BANDS_AN_OCTAVE * log2(item.price))
        yield f"price:{band}"
        yield from (f"price:{band} in {category}" for category in path[:1])


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
