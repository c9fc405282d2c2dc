"""Filters as text: one way of writing each."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from recsys.predicates.expressions import (
    SCOPE_WORDS,
    UNITS,
    Expression,
    Literal,
    Name,
    Node,
    Now,
    Operation,
    Operator,
    Power,
    power_of,
)
from recsys.predicates.tokens import is_plain_name
from recsys.predicates.values import Scope, ValueType

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
_UNITS_SHOWN = ("day", "hour", "minute")
_LAST_SHORT = 0xFFFF


def render(expression: Expression) -> str:
    """Return the canonical text of a filter: equal filters have the same, and no others.

    `parse` reads it back to an equal expression; it may be longer than what was written, so that
    the text of a filter of nearly the most characters can be too long to read back.
    """
    return text_of(expression.root)


def text_of(node: Node, least: Power = Power.OR) -> str:
    """Return the text of a part, in parentheses if it binds less tightly than `least`."""
    match node:
        case Literal():
            return _literal(node)
        case Now():
            return "now"
        case Name():
            return _name(node)
        case Operation():
            text, power = _operation(node)
            return f"({text})" if power < least else text


def _operation(node: Operation) -> tuple[str, Power]:
    operator, operands = node.operator, node.operands
    power = power_of(operator)
    match operator:
        case Operator.OR | Operator.AND:
            inner = [text_of(one, Power(power + 1)) for one in operands]
            return f" {operator} ".join(inner), power
        case Operator.NOT:
            return _negation(operands[0])
        case Operator.NEGATIVE:
            return f"-{text_of(operands[0], Power.SIGN)}", power
        case Operator.LIST:
            return f"({', '.join(text_of(one) for one in operands)})", power
        case Operator.PLUS | Operator.MINUS | Operator.TIMES | Operator.BY:
            right = text_of(operands[1], Power(power + 1))
            return f"{text_of(operands[0], power)} {operator} {right}", power
        case _:
            return _comparison(operator, operands), power


def _negation(inner: Node) -> tuple[str, Power]:
    if isinstance(inner, Operation) and inner.operator is Operator.IN:
        return _comparison(Operator.IN, inner.operands, "not "), Power.COMPARISON
    return f"not {text_of(inner, Power.NOT)}", Power.NOT


def _comparison(operator: Operator, operands: tuple[Node, ...], negation: str = "") -> str:
    first, *others = (text_of(one, Power.SUM) for one in operands)
    said = f"{first} {negation}{operator}"
    match operator:
        case Operator.IS_KNOWN | Operator.IS_UNKNOWN:
            return said
        case Operator.BETWEEN:
            return f"{said} {others[0]} and {others[1]}"
        case Operator.HAS_ANY if (one := _only(operands[1])) is not None:
            return f"{first} has {text_of(one, Power.SUM)}"
        case _:
            return f"{said} {others[0]}"


def _only(choices: Node) -> Node | None:
    """Return what a list of one holds, None for any other."""
    if isinstance(choices, Operation) and choices.operator is Operator.LIST:
        return choices.operands[0] if len(choices.operands) == 1 else None
    return None


def _name(node: Name) -> str:
    parts = node.name.split(".")
    if not all(parts):
        parts = [node.name]
    written = [part if is_plain_name(part) else _quoted(part) for part in parts]
    if node.of is not Scope.ITEM:
        return ".".join((node.of, *written))
    if len(parts) > 1 and parts[0].lower() in SCOPE_WORDS:
        written[0] = _quoted(parts[0])
    return ".".join(written)


def _quoted(name: str) -> str:
    return f"`{name.replace('`', '``')}`"


def _literal(node: Literal) -> str:
    match node.type:
        case ValueType.NUMBER:
            return _number(float(node.value))
        case ValueType.DURATION:
            return _duration(float(node.value))
        case ValueType.TIME:
            return _time(int(node.value))
        case ValueType.FLAG:
            return "true" if node.value else "false"
        case _:
            return '"' + "".join(map(_escaped, str(node.value))) + '"'


def _number(value: float) -> str:
    return format(Decimal(int(value) if value.is_integer() else repr(value)), "f")


def _duration(seconds: float) -> str:
    for unit in _UNITS_SHOWN:
        amount = seconds / UNITS[unit]
        if amount.is_integer() and amount * UNITS[unit] == seconds:
            return f"{_number(amount)} {unit}s"
    return f"{_number(seconds)} seconds"


def _time(seconds: int) -> str:
    time = datetime.fromtimestamp(seconds, UTC)
    shown = f"{time:%Y-%m-%d}" if seconds % 86_400 == 0 else f"{time:%Y-%m-%dT%H:%M:%SZ}"
    return f'time("{shown}")'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable() or ord(character) > _LAST_SHORT:
        return character
    return f"\\u{ord(character):04x}"
