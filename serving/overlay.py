"""The overlay of a worker: what became of the catalog since its bundle was trained."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Protocol

import numpy as np

from recsys.arrays import Rows, Vectors, lengthened, written
from recsys.bundle import ModelBundle
from recsys.catalog import Catalog
from recsys.catalog_changes import Change, Names, changed
from recsys.events import Position
from recsys.growth import grown
from recsys.ids import Strings, Vocabulary
from recsys.items import Item
from recsys.pairs import Pairs
from serving.log.items import RegisteredItem

_PATCH_BYTES = 100
"""About what an entry of a mapping takes beside its text."""


class ContentVectors(Protocol):
    """Foresees the vectors of items that nobody has met yet."""

    def vectors(self, items: Sequence[Item]) -> Vectors:
        """Return the (n, dim) float32 vectors of these items."""


class CatalogOverlay:
    """Holds the catalog of this moment over one bundle's; the one thing here that changes.

    What it gives is immutable, and shares all that stayed with what it gave before and with the
    bundle, which is memory-mapped.

    position: of the newest change that it has taken.
    """

    def __init__(self, bundle: ModelBundle, content: ContentVectors | None = None) -> None:
        self.position = Position(bundle.manifest.log_position)
        self._bundle = bundle
        self._content = content
        self._names = Names.of(bundle.catalog)
        self._vectors: Vectors = np.empty((0, bundle.factors.items.shape[1]), dtype=np.float32)
        self._served = bundle

    @property
    def catalog(self) -> Catalog:
        """The catalog of this moment."""
        return self._served.catalog

    @property
    def served(self) -> ModelBundle:
        """The bundle over the catalog of this moment."""
        return self._served

    def take(self, items: Sequence[RegisteredItem]) -> None:
        """Take what the register holds of these items, by ascending position."""
        if not items:
            return
        changes = {
            one.row: Change(one.item_id, one.item, int(one.since.timestamp())) for one in items
        }
        catalog, self._names = changed(self.catalog, self._names, changes)
        self._vectors = self._with_newcomers(changes, len(catalog))
        self._served = grown(self._bundle, catalog, self._vectors, self._served)
        self.position = items[-1].position

    def n_bytes(self) -> int:
        """Return about how much memory is held beside the bundle's."""
        own = {id(array): array.nbytes for array in _arrays(self._served)}
        for array in _arrays(self._bundle):
            own.pop(id(array), None)
        return sum(own.values()) + sum(map(_patches, _texts(self.catalog)))

    def _with_newcomers(self, changes: dict[int, Change], n_items: int) -> Vectors:
        """Return the (n_more, dim) vectors of items that the bundle has not met."""
        first = len(self._bundle.catalog)
        described = [
            (row - first, one.item) for row, one in changes.items() if row >= first and one.item
        ]
        vectors = lengthened(self._vectors, n_items - first, 0.0)
        if not described or self._content is None:
            return vectors
        rows: Rows = np.array([row for row, _ in described], dtype=np.int32)
        return written(vectors, rows, self._content.vectors([item for _, item in described]))


def _arrays(value: Any) -> Iterator[np.ndarray[Any, Any]]:
    """Yield every array inside nested dataclasses."""
    if isinstance(value, np.ndarray):
        yield value
    elif is_dataclass(value):
        for one in fields(value):
            yield from _arrays(getattr(value, one.name))


def _texts(catalog: Catalog) -> Iterator[Strings | Vocabulary | Pairs]:
    yield from (catalog.titles, catalog.urls, catalog.image_urls, catalog.vocabulary)
    yield from (catalog.vocabulary.ids, catalog.category_names, catalog.brand_names)
    yield from (catalog.market_names, catalog.groups.names)
    pairs = catalog.attributes.pairs
    yield from (pairs, pairs.values, pairs.names, pairs.names.ids)


def _patches(column: Strings | Vocabulary | Pairs) -> int:
    """Return about how many bytes the texts beside a column's data take."""
    if isinstance(column, Vocabulary | Pairs):
        return _PATCH_BYTES * len(column.newer)  # the texts are those of another column
    return sum(_PATCH_BYTES + sys.getsizeof(text) for text in column.patches.values())
