"""Fields: everything that filters may read, and what each holds."""

from __future__ import annotations

from functools import lru_cache

from recsys.catalog import Catalog
from recsys.predicates.values import Field, Schema, Scope, ValueType

ITEM_FIELDS = tuple(
    Field(name, kind, Scope.ITEM, about)
    for name, kind, about in (
        ("item_id", ValueType.TEXT, "id of the item"),
        ("title", ValueType.TEXT, "name of the item"),
        ("category", ValueType.CATEGORY, "path from the root, such as `Grocery > Bread`"),
        ("brand", ValueType.TEXT, "brand of the item"),
        ("group", ValueType.TEXT, "id of the group of variants that the item is in"),
        ("price", ValueType.NUMBER, "what is to be paid in the market now"),
        ("list_price", ValueType.NUMBER, "price in the market before any sale"),
        ("discount", ValueType.NUMBER, "share of the list price that is taken off, 0 to 1"),
        ("stock", ValueType.NUMBER, "pieces left for the market"),
        ("on_sale", ValueType.FLAG, "whether less is to be paid than the list price"),
        ("has_url", ValueType.FLAG, "whether the item's page is known"),
        ("has_image", ValueType.FLAG, "whether a picture of the item is known"),
        ("since", ValueType.TIME, "when the item was described first"),
        ("available_from", ValueType.TIME, "when selling begins; unknown where it always has"),
        ("expires", ValueType.TIME, "when selling ends; unknown where it never does"),
    )
)
"""The fields that every catalog has. An attribute is a field as well, under its own name."""

ATTRIBUTES = "attributes."
"""Stands before the name of an attribute that would be taken for another field."""

ITEM_TYPES = {one.name: one.type for one in ITEM_FIELDS}
"""The type of each field that every catalog has."""

_ROOTS = {"attributes", "item", *Scope}

CONTEXT_FIELDS = tuple(
    Field(name, kind, Scope.CONTEXT, about)
    for name, kind, about in (
        ("seed.item_id", ValueType.TEXT, "the first item the list is to relate to"),
        ("seed.title", ValueType.TEXT, "its name"),
        ("seed.brand", ValueType.TEXT, "its brand"),
        ("seed.category", ValueType.CATEGORY, "its path, such as `Grocery > Bread`"),
        ("seed.price", ValueType.NUMBER, "what is to be paid for it in the market now"),
        ("seed.list_price", ValueType.NUMBER, "its price before any sale"),
        ("cart.size", ValueType.NUMBER, "pieces in the cart"),
        ("cart.total", ValueType.NUMBER, "what is to be paid for it; unknown if a price is"),
        ("market", ValueType.TEXT, "where the items are to be sold"),
        ("channel", ValueType.TEXT, "where the list is shown, such as `email`"),
        ("device", ValueType.TEXT, "what it is shown on, such as `phone`"),
        ("page_type", ValueType.TEXT, "kind of page, such as `product`"),
        ("category", ValueType.CATEGORY, "path of the category the page is about"),
        ("query", ValueType.TEXT, "what was searched for"),
    )
)
"""What is known of the page that a list is for."""

CUSTOMER_FIELDS = tuple(
    Field(name, kind, Scope.CUSTOMER, about)
    for name, kind, about in (
        ("known", ValueType.FLAG, "whether anything the customer did is known"),
        ("brands", ValueType.TEXTS, "brands bought, the most often first; at most 20"),
        ("categories", ValueType.TEXTS, "paths of categories bought of, as brands"),
        ("usual_price", ValueType.NUMBER, "median price, as of now, of what was bought"),
        ("purchases", ValueType.NUMBER, "how many purchases of an item are known"),
        ("last_purchase", ValueType.TIME, "when the customer last bought something"),
    )
)
"""What is known of the customer who asks."""


def schema_of(catalog: Catalog) -> Schema:
    """Return the fields that filters may read: of a catalog's items, of customers and contexts.

    Catalogs of the same fields have the very same schema, while it is in use.
    """
    attributes = catalog.attributes
    return _schema(tuple(attributes.names()), frozenset(attributes.numeric_names()))


def field_of(attribute: str) -> str:
    """Return the name of the field that an attribute is."""
    root, _, _ = attribute.partition(".")
    taken = attribute in ITEM_TYPES or root in _ROOTS
    return f"{ATTRIBUTES}{attribute}" if taken else attribute


def attribute_of(name: str) -> str:
    """Return the attribute that a field is."""
    return name.removeprefix(ATTRIBUTES)


@lru_cache(maxsize=8)
def _schema(names: tuple[str, ...], numeric: frozenset[str]) -> Schema:
    kinds = {name: ValueType.NUMBER if name in numeric else ValueType.TEXTS for name in names}
    own = (
        Field(field_of(name), kind, Scope.ITEM, f"attribute `{name}`")
        for name, kind in kinds.items()
    )
    return Schema((*ITEM_FIELDS, *own, *CUSTOMER_FIELDS, *CONTEXT_FIELDS))
