from __future__ import annotations

import pytest

from recsys.catalog import Catalog
from recsys.fields import CONTEXT_FIELDS, CUSTOMER_FIELDS, ITEM_FIELDS, field_of, schema_of
from recsys.ids import ItemId, Vocabulary
from recsys.items import Attribute, Item
from recsys.predicates.values import Scope, ValueType


def catalog(*attributes: Attribute) -> Catalog:
    return Catalog.of(Vocabulary.of(["i0"]), {0: Item(ItemId("i0"), attributes=attributes)})


def test_schema_has_the_fields_of_all_catalogs_and_the_attributes_of_this_one() -> None:
    schema = schema_of(catalog(Attribute("size", "38"), Attribute("color", "red")))

    assert schema.names(Scope.ITEM) == (*(one.name for one in ITEM_FIELDS), "color", "size")
    assert schema.names(Scope.CUSTOMER) == tuple(one.name for one in CUSTOMER_FIELDS)
    assert schema.names(Scope.CONTEXT) == tuple(one.name for one in CONTEXT_FIELDS)
    size, color = schema.field(Scope.ITEM, "size"), schema.field(Scope.ITEM, "color")
    assert size is not None
    assert color is not None
    assert (size.type, color.type) == (ValueType.NUMBER, ValueType.TEXTS)


def test_catalogs_of_the_same_fields_share_a_schema() -> None:
    first = schema_of(catalog(Attribute("size", "38")))

    assert schema_of(catalog(Attribute("size", "39"))) is first
    assert schema_of(catalog(Attribute("size", "XL"))) is not first


@pytest.mark.parametrize(
    ("attribute", "field"),
    [
        ("color", "color"),
        ("wine.vintage", "wine.vintage"),
        ("price", "attributes.price"),
        ("customer.known", "attributes.customer.known"),
        ("context", "attributes.context"),
        ("attributes.price", "attributes.attributes.price"),
    ],
)
def test_attribute_that_would_be_taken_for_another_field_has_a_longer_name(
    attribute: str, field: str
) -> None:
    assert field_of(attribute) == field
    assert schema_of(catalog(Attribute(attribute, "x"))).field(Scope.ITEM, field) is not None
