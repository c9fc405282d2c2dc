"""What filters are about: types, the fields that exist, and the columns of a catalog."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import Mask, Offsets, Rows, Seconds

Numbers: TypeAlias = NDArray[np.float64]
"""Quantities as float64, NaN where unknown."""

UNKNOWN_TIME = int(np.iinfo(np.int64).min)
"""Stands in columns of times where a time is unknown."""

_MOST_SUGGESTIONS = 3
_LEAST_ALIKE = 0.7
_LONGEST_SUGGESTED = 64


class ValueType(StrEnum):
    """What kind of value a field holds.

    NUMBER: a quantity. TEXT: one text. CATEGORY: a text that is a path, such as `Garden > Tools`.
    TEXTS: a list of texts. TIME: an instant. DURATION: a time span. FLAG: true or false.
    """

    NUMBER = "number"
    TEXT = "text"
    CATEGORY = "category"
    TEXTS = "list of texts"
    TIME = "time"
    DURATION = "duration"
    FLAG = "flag"


class Scope(StrEnum):
    """Whose field it is: the candidate item's, the customer's, or that of what was asked."""

    ITEM = "item"
    CUSTOMER = "customer"
    CONTEXT = "context"


@dataclass(frozen=True, slots=True)
class Field:
    """One name that a filter may read.

    name: without the scope, such as `price` or `seed.price`.
    about: one line that says what it holds.
    """

    name: str
    type: ValueType
    of: Scope
    about: str = ""

    @property
    def path(self) -> str:
        """The name as a filter says it: with its scope, unless it is the item's."""
        return self.name if self.of is Scope.ITEM else f"{self.of}.{self.name}"


class Schema:
    """The fields that filters may read; immutable."""

    def __init__(self, fields: Iterable[Field]) -> None:
        self.fields = tuple(fields)
        self._by_name = {(field.of, field.name): field for field in self.fields}
        if len(self._by_name) != len(self.fields):
            raise ValueError("a schema with two fields of one name and scope")

    def field(self, scope: Scope, name: str) -> Field | None:
        """Return the field of this name, None if there is none."""
        return self._by_name.get((scope, name))

    def names(self, scope: Scope) -> tuple[str, ...]:
        """Return the names of a scope's fields, in the order they were given."""
        return tuple(field.name for field in self.fields if field.of is scope)

    def closest(self, scope: Scope, name: str) -> tuple[str, ...]:
        """Return up to 3 paths of fields that may have been meant, most alike first."""
        if len(name) > _LONGEST_SUGGESTED:
            return ()
        paths: dict[str, list[str]] = {}
        for field in self.fields:
            paths.setdefault(field.path.lower(), []).append(field.path)
        asked = Field(name, ValueType.TEXT, scope).path.lower()
        found = get_close_matches(asked, paths, _MOST_SUGGESTIONS, _LEAST_ALIKE)
        return tuple(path for one in found for path in paths[one])[:_MOST_SUGGESTIONS]


@dataclass(frozen=True, slots=True)
class Coded:
    """One text an item, as places in a column of texts: the fewer, the faster are filters.

    codes: (n_items,) int32 places in `names`; 0 where unknown or empty.
    names: place 0 is the empty text; in any order, and a text may stand more than once.
    """

    codes: Rows
    names: Sequence[str]


@dataclass(frozen=True, slots=True)
class CodedLists:
    """A list of texts an item, laid end to end; an item without entries is one without a list.

    offsets: (n_items + 1,) int64 bounds of each item's entries.
    codes: (n_entries,) int32 places in `names`, from 1; may repeat within an item.
    names: place 0 is the empty text, which stands in no list; each text once.
    """

    offsets: Offsets
    codes: Rows
    names: Sequence[str]


class ItemValues(Protocol):
    """The columns of one catalog in one market, each of the type that the schema gives its name.

    A value of this protocol never changes and is known by its identity: what is computed from it
    is remembered for as long as it is in use. Columns are kept by whoever implements it, so that
    the same name gives the same arrays without work. A name that the schema does not have, or one
    asked for as another type, is a ValueError.
    """

    @property
    def n_items(self) -> int:
        """How many items there are."""
        ...

    def numbers(self, name: str) -> Numbers:
        """Return the (n_items,) float64 quantities (NUMBER; DURATION in seconds), NaN: unknown.

        As the shop wrote them: 9.99 is the float64 nearest to 9.99, not a widened float32.
        """
        ...

    def texts(self, name: str) -> Coded:
        """Return the texts (TEXT) or paths (CATEGORY) of the items."""
        ...

    def lists(self, name: str) -> CodedLists:
        """Return the lists of texts (TEXTS) of the items."""
        ...

    def times(self, name: str) -> Seconds:
        """Return the (n_items,) int64 seconds since 1970 (TIME), `UNKNOWN_TIME` where unknown."""
        ...

    def flags(self, name: str) -> Mask:
        """Return the (n_items,) bool flags (FLAG), which are never unknown."""
        ...


Value: TypeAlias = float | str | tuple[str, ...] | bool | int | None
"""A field of a customer or context: NUMBER and DURATION (seconds) float, TEXT and CATEGORY str,
TEXTS a tuple, TIME int seconds since 1970, FLAG bool; None, an empty text or list where unknown."""
