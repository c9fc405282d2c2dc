"""Chosen fields: what answers give of each item beside its title, by the names filters know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from recsys.catalog import Catalog
from recsys.errors import InvalidInput
from recsys.item_values import ShelfValues
from recsys.predicates.values import Schema, Scope, ValueType
from recsys.query import ItemField
from recsys.why.refusals import value_of

ADDRESSES = ("url", "image_url")
"""Fields that answers give and filters do not read."""

MOST_NAMED = 60
"""Most names that an error lists."""

_GIVEN = (ValueType.NUMBER, ValueType.TEXT, ValueType.CATEGORY, ValueType.TEXTS)


def known_fields(schema: Schema) -> Mapping[str, ValueType]:
    """Return the types of the fields that answers can give, by name."""
    fields = (one for one in schema.fields if one.of is Scope.ITEM and one.type in _GIVEN)
    return {**dict.fromkeys(ADDRESSES, ValueType.TEXT), **{one.name: one.type for one in fields}}


def check_fields(names: Sequence[str], schema: Schema) -> None:
    """Raise InvalidInput for the first name that is of no field, with those that exist."""
    known = known_fields(schema) if names else {}
    for place, name in enumerate(names):
        if name not in known:
            more = f" and {len(known) - MOST_NAMED} more" if len(known) > MOST_NAMED else ""
            some = ", ".join(list(known)[:MOST_NAMED])
            raise InvalidInput(f"item_fields[{place}]", name, f"one of {some}{more}")


@dataclass(frozen=True, slots=True)
class ChosenFields:
    """Some fields of what is shown on one shelf.

    kinds: by the name of each field that was asked for.
    """

    catalog: Catalog
    values: ShelfValues
    kinds: Mapping[str, ValueType]

    def of(self, row: int, shown: int) -> tuple[ItemField, ...]:
        """Return the fields of a product that are known. shown: the row that stands for it."""
        found = ((name, self._value(name, row, shown)) for name in self.kinds)
        return tuple(ItemField(name, value) for name, value in found if value not in (None, "", ()))

    def _value(self, name: str, row: int, shown: int) -> str | float | tuple[str, ...] | None:
        if name in ADDRESSES:
            return self.catalog.urls[shown] if name == "url" else self.catalog.image_urls[shown]
        return value_of(self.values, name, self.kinds[name], row)
