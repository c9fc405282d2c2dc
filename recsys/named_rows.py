"""Rows that queries name: of seeds, carts, exclusions and candidates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recsys.arrays import Mask, Rows, frozen, keys_of
from recsys.assortment import Assortment
from recsys.ids import UNKNOWN_ROW, ItemId
from recsys.query import Query
from recsys.timelines import Ragged


def rows_named(
    queries: Sequence[Query], assortment: Assortment
) -> tuple[tuple[Ragged, Ragged, Ragged], tuple[tuple[ItemId, ...], ...]]:
    """Return the products of seeds, cart and exclusions, and the ids among them without a row."""
    seeds, unknown_seeds = rows_of([query.seeds for query in queries], assortment)
    cart, unknown_in_cart = rows_of([query.scene.cart for query in queries], assortment)
    excluded, unknown_excluded = rows_of([query.excluded for query in queries], assortment)
    unknown = zip(unknown_seeds, unknown_in_cart, unknown_excluded, strict=True)
    missing = tuple(tuple(dict.fromkeys(a + b + c)) for a, b, c in unknown)
    return (seeds, cart, excluded), missing


def rows_of(
    lists: Sequence[tuple[ItemId, ...]], assortment: Assortment
) -> tuple[Ragged, list[tuple[ItemId, ...]]]:
    """Return the products of these ids, each once, and the ids that have no row."""
    rows: list[Rows] = []
    missing: list[tuple[ItemId, ...]] = []
    for ids in lists:
        found = assortment.vocabulary.rows(ids)
        known: Mask = found != UNKNOWN_ROW
        products = assortment.primaries[found[known]]
        _, first = np.unique(products, return_index=True)
        rows.append(frozen(products[np.sort(first)]))
        missing.append(tuple(item for item, here in zip(ids, known, strict=True) if not here))
    return Ragged.of(rows), missing


def each_once(lists: Ragged) -> Ragged:
    """Return the lists without repeats, each row where it stands first."""
    keys = keys_of(lists.owners(), lists.rows)
    _, first = np.unique(keys, return_index=True)
    kept = np.sort(first)
    return Ragged.of_pairs(lists.owners()[kept], lists.rows[kept], len(lists))
