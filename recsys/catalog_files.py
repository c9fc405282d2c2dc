"""A catalog as named arrays: how a bundle keeps it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.attributes import Attributes
from recsys.catalog import Catalog, ItemColumns
from recsys.groups import Groups
from recsys.ids import Strings, Vocabulary
from recsys.lists import Lists
from recsys.offers import Offers
from recsys.pairs import Pairs

Array = NDArray[Any]
Read = Callable[[str], Array]
"""Returns the array of a name."""

_ITEMS = tuple(one.name for one in fields(ItemColumns))
_OFFERS = tuple(one.name for one in fields(Offers))
_PAIRS = ("of_names", "numbers", "hashes", "order")


def catalog_arrays(catalog: Catalog) -> dict[str, Array]:
    """Return the catalog's arrays by name. Raises ValueError for one that has grown since."""
    return {
        **_vocabulary("item_id", catalog.vocabulary),
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
        **_attributes(catalog.attributes),
        "events_only": np.array([catalog.events_only]),
    }


def read_catalog(read: Read) -> Catalog:
    """Return the catalog of these arrays."""

    def strings(name: str) -> Strings:
        return _read_strings(read, name)

    return Catalog(
        vocabulary=_read_vocabulary(read, "item_id"),
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
        attributes=_read_attributes(read),
        events_only=bool(read("events_only")[0]),
    )


def _attributes(attributes: Attributes) -> dict[str, Array]:
    pairs, lists = attributes.pairs, attributes.of_items
    return {
        **_vocabulary("attribute_name", pairs.names),
        **_strings("attribute_values", pairs.values),
        **{f"attribute_{name}": getattr(pairs, name) for name in _PAIRS},
        "attributes": lists.codes,
        "attributes_offsets": lists.offsets,
        "attribute_uses": attributes.uses,
        "attribute_words": attributes.words,
    }


def _read_attributes(read: Read) -> Attributes:
    columns: dict[str, Any] = {name: read(f"attribute_{name}") for name in _PAIRS}
    names, values = (
        _read_vocabulary(read, "attribute_name"),
        _read_strings(read, "attribute_values"),
    )
    return Attributes(
        Pairs(names, values=values, **columns),
        Lists(read("attributes_offsets"), read("attributes")),
        read("attribute_uses"),
        read("attribute_words"),
    )


def _vocabulary(name: str, vocabulary: Vocabulary) -> dict[str, Array]:
    return {
        **_strings(f"{name}s", vocabulary.ids),
        f"{name}_hashes": vocabulary.hashes,
        f"{name}_order": vocabulary.order,
    }


def _read_vocabulary(read: Read, name: str) -> Vocabulary:
    ids = _read_strings(read, f"{name}s")
    return Vocabulary(ids, read(f"{name}_hashes"), read(f"{name}_order"))


def _read_strings(read: Read, name: str) -> Strings:
    return Strings(read(name), read(f"{name}_offsets"))


def _strings(name: str, column: Strings) -> dict[str, Array]:
    if column.patches or column.n_more:
        raise ValueError(f"{name}: a catalog that has grown since it was learned is never saved")
    return {name: column.data, f"{name}_offsets": column.offsets}
