"""What a filter means, said once more: item by item, without arrays."""

from __future__ import annotations

import math
import operator
from typing import Any

from recsys.predicates.expressions import Expression, Literal, Name, Node, Now, Operation, Operator
from recsys.predicates.values import Scope, ValueType
from tests.recsys.predicates.shelf import FIELDS, Item, Values

ORDER = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
SUMS = {Operator.PLUS, Operator.MINUS, Operator.TIMES, Operator.BY, Operator.NEGATIVE}


def holds(expression: Expression, item: Item, values: Values, now: int) -> bool:
    """Return whether an item passes."""
    return bool(_value(expression.root, item, values, now))


def _path(text: str) -> tuple[str, ...] | None:
    return tuple(part.strip() for part in text.split(">") if part.strip()) or None


def _value(node: Node, item: Item, values: Values, now: int) -> Any:
    """Return a value; None where unknown, a tuple of parts for a category, a set for a list."""
    match node:
        case Literal():
            return node.value
        case Now():
            return now
        case Name():
            return _field(node, item, values)
        case Operation():
            if node.operator in {Operator.CONTAINS, Operator.STARTS_WITH}:
                return _likeness(node, item, values)
            operands = [_value(one, item, values, now) for one in node.operands]
            return _result(node.operator, operands)


def _field(name: Name, item: Item, values: Values) -> Any:
    value = item.get(name.name) if name.of is Scope.ITEM else values.get((name.of, name.name))
    match FIELDS[name.of][name.name]:
        case ValueType.CATEGORY:
            return _path(str(value or ""))
        case ValueType.TEXTS:
            return set(value) if isinstance(value, tuple) and value else None
        case ValueType.FLAG if name.of is Scope.ITEM:
            return bool(value)
        case _:
            return None if value == "" else value


def _likeness(node: Operation, item: Item, values: Values) -> bool:
    written = []
    for one in node.operands:
        if isinstance(one, Name):
            own = item.get(one.name) if one.of is Scope.ITEM else values.get((one.of, one.name))
            written.append(str(own or "").casefold())
        else:
            assert isinstance(one, Literal)
            written.append(str(one.value).casefold())
    if not all(written):
        return False
    if node.operator is Operator.CONTAINS:
        return written[0].find(written[1]) >= 0
    return written[0][: len(written[1])] == written[1]


def _result(which: Operator, operands: list[Any]) -> Any:
    match which:
        case Operator.OR:
            return any(operands)
        case Operator.AND:
            return all(operands)
        case Operator.NOT:
            return not operands[0]
        case Operator.LIST:
            return operands
        case Operator.IS_KNOWN:
            return operands[0] is not None
        case Operator.IS_UNKNOWN:
            return operands[0] is None
        case Operator.EQUAL:
            return _equal(*operands)
        case Operator.UNEQUAL:
            return not _equal(*operands)
        case Operator.IN:
            return any(_equal(operands[0], one) for one in operands[1] or ())
        case Operator.HAS_ANY | Operator.HAS_ALL:
            return _has(which, *operands)
    if any(one is None for one in operands):
        return None if which in SUMS else False
    match which:
        case Operator.BETWEEN:
            return operands[1] <= operands[0] <= operands[2]
        case Operator.UNDER:
            path, root = _as_paths(*operands)
            return root is not None and path[: len(root)] == root
        case Operator.BELOW | Operator.AT_MOST | Operator.ABOVE | Operator.AT_LEAST:
            return ORDER[which](*operands)
    return _sum(which, *map(float, operands))


def _as_paths(*texts: Any) -> tuple[Any, ...]:
    return tuple(_path(text) if isinstance(text, str) else text for text in texts)


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, tuple) or isinstance(right, tuple):
        left, right = _as_paths(left, right)
    return left is not None and right is not None and left == right


def _has(which: Operator, held: Any, wanted: Any) -> bool:
    mine = {held} if isinstance(held, str) else held or set()
    found = [one in mine for one in wanted or ()]
    return any(found) if which is Operator.HAS_ANY else bool(found) and all(found)


def _sum(which: Operator, left: float, right: float = 0.0) -> float | None:
    match which:
        case Operator.NEGATIVE:
            value = -left
        case Operator.PLUS:
            value = left + right
        case Operator.MINUS:
            value = left - right
        case Operator.TIMES:
            value = left * right
        case _:
            value = left / right if right else math.nan
    return None if math.isnan(value) else value
