"""A small shop for filters: items as a person would list them, and the fields they have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recsys.arrays import Mask, Seconds, offsets_of
from recsys.predicates.values import (
    UNKNOWN_TIME,
    Coded,
    CodedLists,
    Field,
    Numbers,
    Schema,
    Scope,
    Value,
    ValueType,
)

Item = Mapping[str, Value]
Values = Mapping[tuple[Scope, str], Value]

FIELDS = {
    Scope.ITEM: {
        "price": ValueType.NUMBER,
        "stock": ValueType.NUMBER,
        "brand": ValueType.TEXT,
        "title": ValueType.TEXT,
        "size eu": ValueType.TEXT,
        "category": ValueType.CATEGORY,
        "aisle": ValueType.CATEGORY,
        "tags": ValueType.TEXTS,
        "materials": ValueType.TEXTS,
        "published": ValueType.TIME,
        "lead_time": ValueType.DURATION,
        "on_sale": ValueType.FLAG,
    },
    Scope.CUSTOMER: {
        "age": ValueType.NUMBER,
        "city": ValueType.TEXT,
        "interests": ValueType.TEXTS,
        "since": ValueType.TIME,
        "vip": ValueType.FLAG,
    },
    Scope.CONTEXT: {
        "seed.price": ValueType.NUMBER,
        "seed.brand": ValueType.TEXT,
        "seed.category": ValueType.CATEGORY,
        "seed.tags": ValueType.TEXTS,
        "seed.published": ValueType.TIME,
        "cart.total": ValueType.NUMBER,
        "market": ValueType.TEXT,
        "patience": ValueType.DURATION,
        "clearance": ValueType.FLAG,
    },
}

SCHEMA = Schema(
    Field(name, type_, scope) for scope, fields in FIELDS.items() for name, type_ in fields.items()
)


@dataclass(frozen=True, slots=True, eq=False)
class Shelf:
    """The columns of these items. A value that is missing or None is unknown."""

    items: Sequence[Item]

    @property
    def n_items(self) -> int:
        return len(self.items)

    def numbers(self, name: str) -> Numbers:
        return np.array([item.get(name) for item in self.items], dtype=np.float64)

    def texts(self, name: str) -> Coded:
        texts = [str(item.get(name) or "") for item in self.items]
        if name == "title":
            # Each item's own, also where two have the same, or none.
            places = [place if text else 0 for place, text in enumerate(texts, 1)]
            return Coded(np.array(places, dtype=np.int32), ["", *texts])
        names = ["", *sorted({*texts} - {""}, reverse=True)]
        return Coded(np.array([names.index(text) for text in texts], dtype=np.int32), names)

    def lists(self, name: str) -> CodedLists:
        lists = [_texts(item.get(name)) for item in self.items]
        names = ["", *sorted({text for texts in lists for text in texts})]
        codes = [names.index(text) for texts in lists for text in texts]
        lengths = np.array([len(texts) for texts in lists], dtype=np.int64)
        return CodedLists(offsets_of(lengths), np.array(codes, dtype=np.int32), names)

    def times(self, name: str) -> Seconds:
        times = [item.get(name) for item in self.items]
        return np.array([UNKNOWN_TIME if time is None else time for time in times], dtype=np.int64)

    def flags(self, name: str) -> Mask:
        return np.array([bool(item.get(name)) for item in self.items], dtype=np.bool_)


def _texts(value: Value) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else ()
