"""A catalog as named arrays: how a bundle keeps it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.catalog import Catalog, ItemColumns
from recsys.groups import Groups
from recsys.ids import Strings, Vocabulary
from recsys.offers import Offers

Array = NDArray[Any]
Read = Callable[[str], Array]
"""Returns the array of a name."""

_ITEMS = tuple(one.name for one in fields(ItemColumns))
_OFFERS = tuple(one.name for one in fields(Offers))


def catalog_arrays(catalog: Catalog) -> dict[str, Array]:
    """Return the catalog's arrays by name. Raises ValueError for one that has grown since."""
    return {
        **_strings("item_ids", catalog.vocabulary.ids),
        "item_id_hashes": catalog.vocabulary.hashes,
        "item_id_order": catalog.vocabulary.order,
        **_strings("titles", catalog.titles),
        "categories": catalog.categories,
        **_strings("category_names", catalog.category_names),
        "brands": catalog.brands,
        **_strings("brand_names", catalog.brand_names),
        **{name: getattr(catalog.items, name) for name in _ITEMS},
        **_strings("market_names", catalog.market_names),
        **{f"offer_{name}": getattr(catalog.offers, name) for name in _OFFERS},
        **_strings("group_names", catalog.groups.names),
        "groups": catalog.groups.codes,
        "primaries": catalog.groups.primaries,
        "parents": catalog.groups.parents,
        **_strings("urls", catalog.urls),
        **_strings("image_urls", catalog.image_urls),
        "since": catalog.since,
        "events_only": np.array([catalog.events_only]),
    }


def read_catalog(read: Read) -> Catalog:
    """Return the catalog of these arrays."""

    def strings(name: str) -> Strings:
        return Strings(read(name), read(f"{name}_offsets"))

    return Catalog(
        vocabulary=Vocabulary(strings("item_ids"), read("item_id_hashes"), read("item_id_order")),
        titles=strings("titles"),
        categories=read("categories"),
        category_names=strings("category_names"),
        brands=read("brands"),
        brand_names=strings("brand_names"),
        items=ItemColumns(*(read(name) for name in _ITEMS)),
        market_names=strings("market_names"),
        offers=Offers(*(read(f"offer_{name}") for name in _OFFERS)),
        groups=Groups(strings("group_names"), read("groups"), read("primaries"), read("parents")),
        urls=strings("urls"),
        image_urls=strings("image_urls"),
        since=read("since"),
        events_only=bool(read("events_only")[0]),
    )


def _strings(name: str, column: Strings) -> dict[str, Array]:
    if column.patches or column.n_more:
        raise ValueError(f"{name}: a catalog that has grown since it was learned is never saved")
    return {name: column.data, f"{name}_offsets": column.offsets}
