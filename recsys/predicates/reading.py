"""The quantities and texts of a checked filter: one for all items, or one each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

import numpy as np

from recsys.arrays import Mask, frozen
from recsys.predicates.checking import Step
from recsys.predicates.columns import Columns, Lists, Texts, path_of
from recsys.predicates.expressions import Literal, Name, Node, Now, Operator
from recsys.predicates.rendering import text_of
from recsys.predicates.values import Numbers, Scope, Value, ValueType

Quantity: TypeAlias = np.float64 | Numbers
"""One quantity for all items, or one each; seconds for a time or duration; NaN where unknown."""

_UNKNOWN = np.float64(np.nan)


class Spelling(Enum):
    """How texts are compared: as written, as paths of categories, or whatever their case."""

    WRITTEN = "written"
    PATH = "path"
    FOLDED = "folded"


def spelling_of(*steps: Step) -> Spelling:
    """Return how texts of these are compared: as paths where one is a category."""
    if any(step.type is ValueType.CATEGORY for step in steps):
        return Spelling.PATH
    return Spelling.WRITTEN


@dataclass(frozen=True, slots=True)
class Reading:
    """The columns and values that a filter reads.

    values: of customer and context; a field that is missing is unknown.
    now: seconds since 1970.
    """

    columns: Columns
    values: Mapping[tuple[Scope, str], Value]
    now: int

    def quantity(self, step: Step, *, keep: bool) -> Quantity:
        """Return a number, or the seconds of a time or duration.

        keep: whether what is reckoned of the catalog alone will be asked for again.
        """
        node = step.node
        match node:
            case Literal():
                return np.float64(node.value)
            case Now():
                return np.float64(self.now)
            case Name():
                return self._named_quantity(node, step.type)
        if not (keep and step.lasting):
            return self._reckoned(step, keep=keep)
        return self.columns.once("quantity", step.text, lambda: self._reckoned(step, keep=False))

    def _named_quantity(self, name: Name, type_: ValueType) -> Quantity:
        if name.of is not Scope.ITEM:
            value = self.values.get((name.of, name.name))
            return _UNKNOWN if value is None else np.float64(_of_type(value, (int, float), name))
        if type_ is ValueType.TIME:
            return self.columns.times(name.name)
        return self.columns.items.numbers(name.name)

    def _reckoned(self, step: Step, *, keep: bool) -> Quantity:
        operands = [self.quantity(one, keep=keep) for one in step.operands]
        with np.errstate(all="ignore"):
            found: Quantity = _reckon(step.operator, operands)
        return frozen(found) if isinstance(found, np.ndarray) else found

    def flag(self, step: Step) -> Mask | np.bool_ | None:
        """Return a flag that stands in the filter or is named by it; None where unknown."""
        node = step.node
        if isinstance(node, Name):
            if node.of is Scope.ITEM:
                return self.columns.items.flags(node.name)
            value = self.values.get((node.of, node.name))
            return None if value is None else np.bool_(_of_type(value, (bool,), node))
        return np.bool_(isinstance(node, Literal) and node.value)

    def text(self, step: Step, spelling: Spelling) -> str | Texts:
        """Return a text or category; empty where unknown."""
        node = step.node
        if isinstance(node, Name) and node.of is Scope.ITEM:
            match spelling:
                case Spelling.WRITTEN:
                    return self.columns.texts(node.name)
                case Spelling.PATH:
                    return self.columns.paths(node.name)
                case Spelling.FOLDED:
                    return self.columns.folded(node.name)
        return _spelled(self._one_text(node), spelling)

    def _one_text(self, node: Node) -> str:
        if isinstance(node, Name):
            value = self.values.get((node.of, node.name))
            return "" if value is None else str(_of_type(value, (str,), node))
        return str(node.value) if isinstance(node, Literal) else ""

    def texts(self, step: Step) -> tuple[str, ...] | Lists:
        """Return a field's lists of texts; empty where unknown."""
        node = step.node
        if isinstance(node, Name) and node.of is Scope.ITEM:
            return self.columns.lists(node.name)
        return self._own_texts(node)

    def _own_texts(self, node: Node) -> tuple[str, ...]:
        value = self.values.get((node.of, node.name)) if isinstance(node, Name) else None
        if value is not None and not isinstance(value, tuple):
            raise ValueError(f"{text_of(node)}: {type(value).__name__}, which is no tuple")
        return tuple(filter(None, value or ()))

    def choices(self, step: Step, spelling: Spelling) -> tuple[str, ...]:
        """Return what a text, a list in parentheses or a field says, the same for all items.

        An empty text is an unknown one; a field's lists have none.
        """
        if step.operator is Operator.LIST:
            return tuple(str(self.text(one, spelling)) for one in step.operands)
        if step.type is ValueType.TEXTS:
            return tuple(_spelled(text, spelling) for text in self._own_texts(step.node))
        return (str(self.text(step, spelling)),)


def _reckon(operator: Operator | None, operands: list[Quantity]) -> Quantity:
    first = operands[0]
    found: Quantity
    match operator:
        case Operator.NEGATIVE:
            found = np.negative(first)
        case Operator.PLUS:
            found = np.add(first, operands[1])
        case Operator.MINUS:
            found = np.subtract(first, operands[1])
        case Operator.TIMES:
            found = np.multiply(first, operands[1])
        case _:
            # Dividing by the unknown leaves the unknown; dividing by zero is no number either.
            found = np.divide(first, np.where(np.equal(operands[1], 0), np.nan, operands[1]))
    return found


def _spelled(text: str, spelling: Spelling) -> str:
    match spelling:
        case Spelling.WRITTEN:
            return text
        case Spelling.PATH:
            return path_of(text)
        case Spelling.FOLDED:
            return text.casefold()


def _of_type(value: Value, types: tuple[type, ...], name: Name) -> float | str | bool:
    # A bool is an int to Python, but no quantity.
    fits = isinstance(value, types) and isinstance(value, bool) == (bool in types)
    if not fits or value is None or isinstance(value, tuple):
        raise ValueError(f"{text_of(name)}: {type(value).__name__}, which is none of {types}")
    return value
