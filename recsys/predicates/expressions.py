"""What a filter says, as a tree, before anyone asks whether it makes sense."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import TypeAlias

from recsys.predicates.errors import Source
from recsys.predicates.values import Scope, ValueType

MOST_CHARACTERS = 4_000
"""Longest filter."""

MOST_NESTING = 50
"""Deepest nesting: parentheses, and operators within operators."""

MOST_CHOICES = 1_000
"""Longest list in parentheses."""

SCOPE_WORDS = frozenset(Scope)

KEYWORDS = frozenset(
    ("and", "or", "not", "in", "between", "under", "has", "any", "all", "is", "contains",
     "starts", "now", "true", "false")
)  # fmt: skip
"""Words that a bare name may not be, in any case."""

UNITS = {
    "second": 1.0,
    "minute": 60.0,
    "hour": 3_600.0,
    "day": 86_400.0,
    "week": 604_800.0,
}
"""Seconds of each unit of a duration; a plural `s` may follow it."""


class Operator(StrEnum):
    """What is done with the operands, one to many."""

    OR = "or"
    AND = "and"
    NOT = "not"
    EQUAL = "="
    UNEQUAL = "!="
    BELOW = "<"
    AT_MOST = "<="
    ABOVE = ">"
    AT_LEAST = ">="
    BETWEEN = "between"
    IN = "in"
    UNDER = "under"
    HAS_ANY = "has any"
    HAS_ALL = "has all"
    CONTAINS = "contains"
    STARTS_WITH = "starts with"
    IS_KNOWN = "is known"
    IS_UNKNOWN = "is unknown"
    PLUS = "+"
    MINUS = "-"
    TIMES = "*"
    BY = "/"
    NEGATIVE = "negative"
    LIST = "list"


class Power(IntEnum):
    """How tightly an operator binds; later binds tighter."""

    OR = 1
    AND = 2
    NOT = 3
    COMPARISON = 4
    SUM = 5
    PRODUCT = 6
    SIGN = 7
    VALUE = 8


@dataclass(frozen=True, slots=True)
class Literal:
    """A value that stands in the text: float, str, bool, or seconds of a time or duration."""

    type: ValueType
    value: float | str | bool | int
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Now:
    """The moment of asking."""

    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Name:
    """A field, by its scope and name."""

    of: Scope
    name: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator and what it is applied to; a list in parentheses is one, too.

    at: position of the first character, parentheses left out.
    """

    operator: Operator
    operands: tuple[Node, ...]
    at: int = field(default=0, compare=False)


Node: TypeAlias = Literal | Now | Name | Operation


@dataclass(frozen=True, slots=True)
class Expression:
    """A filter that was read but not checked yet. Equal to another that says the same."""

    root: Node
    source: Source = field(default=Source(""), compare=False)


_SUMS = {Operator.PLUS, Operator.MINUS}
_PRODUCTS = {Operator.TIMES, Operator.BY}


def power_of(operator: Operator) -> Power:
    """Return how tightly an operator binds."""
    if operator in _SUMS:
        return Power.SUM
    if operator in _PRODUCTS:
        return Power.PRODUCT
    match operator:
        case Operator.OR:
            return Power.OR
        case Operator.AND:
            return Power.AND
        case Operator.NOT:
            return Power.NOT
        case Operator.NEGATIVE:
            return Power.SIGN
        case Operator.LIST:
            return Power.VALUE
        case _:
            return Power.COMPARISON
