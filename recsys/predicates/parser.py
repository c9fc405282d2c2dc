"""Reading a filter: precedence climbing, with a bound on its depth."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from recsys.predicates.errors import InvalidFilter, Source
from recsys.predicates.expressions import (
    MOST_CHOICES,
    MOST_NESTING,
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
from recsys.predicates.tokens import Kind, Token, tokens_of
from recsys.predicates.values import Scope, ValueType

_SYMBOLS = {
    "=": Operator.EQUAL,
    "==": Operator.EQUAL,
    "!=": Operator.UNEQUAL,
    "<": Operator.BELOW,
    "<=": Operator.AT_MOST,
    ">": Operator.ABOVE,
    ">=": Operator.AT_LEAST,
    "+": Operator.PLUS,
    "-": Operator.MINUS,
    "*": Operator.TIMES,
    "/": Operator.BY,
}
_WORDS = ("between", "in", "under", "has", "contains", "starts")
_TIME_WANTED = 'a time in 1971 to 2105, such as time("2026-11-01") or time("2026-11-01T08:00")'


def parse(text: str, *, field: str = "filter") -> Expression:
    """Return what a filter says. Raises InvalidFilter, which points at the character at fault.

    field: path of the field that holds the filter, for errors.
    """
    source = Source(text, field)
    root = _Parser(source).whole()
    _refuse_deep(source, root)
    return Expression(root, source)


def _refuse_deep(source: Source, root: Node) -> None:
    """Raise InvalidFilter if the tree is too deep: a chain such as 1 - 1 - 1 - ... is."""
    open_nodes = [(root, 1)]
    while open_nodes:
        node, depth = open_nodes.pop()
        if depth > MOST_NESTING:
            raise _too_deep(source, node.at)
        if isinstance(node, Operation):
            open_nodes.extend((operand, depth + 1) for operand in node.operands)


def _too_deep(source: Source, at: int) -> InvalidFilter:
    return source.wrong(at, "deeper nesting", f"at most {MOST_NESTING} levels")


class _Parser:
    """Reads the words of one filter from left to right."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._tokens = tokens_of(source)
        self._place = 0
        self._depth = 0

    def whole(self) -> Node:
        """Return the tree of all words."""
        if self._ended:
            raise self._wrong("a condition, such as price <= 20")
        root = self._expression(Power.OR)
        if not self._ended:
            raise self._wrong("an operator, `and`, `or` or the end")
        return root

    @property
    def _next(self) -> Token:
        return self._tokens[self._place]

    @property
    def _ended(self) -> bool:
        return self._next.kind is Kind.END

    def _take(self) -> Token:
        token = self._next
        self._place += 1
        return token

    def _takes(self, *words: str) -> bool:
        """Return whether one of these words or symbols comes next, and take it if so."""
        comes = self._next.is_word(*words) or self._next.is_symbol(*words)
        self._place += comes
        return comes

    def _expect(self, *words: str) -> None:
        if not self._takes(*words):
            raise self._wrong(" or ".join(f"`{word}`" for word in words))

    def _wrong(self, wanted: str) -> InvalidFilter:
        token = self._next
        came = "the end" if self._ended else f"`{token.written}`"
        return self._source.wrong(token.at, came, wanted)

    def _expression(self, least: Power) -> Node:
        """Return the longest expression from here whose operators bind as `least` or tighter."""
        self._depth += 1
        if self._depth > MOST_NESTING:
            raise _too_deep(self._source, self._next.at)
        left = self._prefix(least)
        compared = False
        while (power := self._power_of_next()) is not None and power >= least:
            if compared and power is Power.COMPARISON:
                raise self._wrong("`and` between two comparisons")
            compared = power is Power.COMPARISON
            left = self._infix(left, power)
        self._depth -= 1
        return left

    def _power_of_next(self) -> Power | None:
        token = self._next
        if token.kind is Kind.SYMBOL:
            operator = _SYMBOLS.get(token.text)
            return None if operator is None else power_of(operator)
        if token.kind is not Kind.KEYWORD:
            return None
        if token.text in {"or", "and"}:
            return power_of(Operator(token.text))
        return Power.COMPARISON if token.text in {"not", "is", *_WORDS} else None

    def _infix(self, left: Node, power: Power) -> Node:
        token = self._take()
        if power in {Power.OR, Power.AND}:
            operands = [left, self._expression(Power(power + 1))]
            while self._takes(token.text):
                operands.append(self._expression(Power(power + 1)))
            return Operation(Operator(token.text), tuple(operands), left.at)
        if token.kind is Kind.SYMBOL:
            right = self._expression(Power(power + 1))
            return Operation(_SYMBOLS[token.text], (left, right), left.at)
        if token.text == "is":
            return self._knowledge(left)
        if token.text == "not":
            if not self._next.is_word(*_WORDS):
                raise self._wrong("`in`, `under`, `has` or another such word after `not`")
            return Operation(Operator.NOT, (self._said(self._take().text, left),), left.at)
        return self._said(token.text, left)

    def _knowledge(self, left: Node) -> Node:
        known = self._next.is_word("known")
        self._expect("known", "unknown")
        operator = Operator.IS_KNOWN if known else Operator.IS_UNKNOWN
        return Operation(operator, (left,), left.at)

    def _said(self, word: str, left: Node) -> Node:
        """Return what a word such as `under` says of what stands to its left."""
        match word:
            case "between":
                low = self._expression(Power.SUM)
                self._expect("and")
                operands = (left, low, self._expression(Power.SUM))
                return Operation(Operator.BETWEEN, operands, left.at)
            case "in":
                return Operation(Operator.IN, (left, self._choices()), left.at)
            case "has":
                return self._holding(left)
            case "starts":
                self._expect("with")
                operator = Operator.STARTS_WITH
            case _:
                operator = Operator(word)
        return Operation(operator, (left, self._expression(Power.SUM)), left.at)

    def _holding(self, left: Node) -> Node:
        if self._takes("any"):
            return Operation(Operator.HAS_ANY, (left, self._choices()), left.at)
        if self._takes("all"):
            return Operation(Operator.HAS_ALL, (left, self._choices()), left.at)
        one = self._expression(Power.SUM)
        only = Operation(Operator.LIST, (one,), one.at)
        return Operation(Operator.HAS_ANY, (left, only), left.at)

    def _choices(self) -> Node:
        """Return a list in parentheses, or the name of a field that holds one."""
        if self._next.kind in {Kind.NAME, Kind.QUOTED_NAME}:
            return self._name()
        at = self._next.at
        if not self._takes("("):
            raise self._wrong('a list, such as ("x", "y"), or a field that holds one')
        choices = [self._expression(Power.OR)]
        while not self._takes(")"):
            self._expect(",", ")")
            if len(choices) == MOST_CHOICES:
                raise self._source.wrong(self._next.at, "more", f"at most {MOST_CHOICES:,} values")
            choices.append(self._expression(Power.OR))
        return Operation(Operator.LIST, tuple(choices), at)

    def _prefix(self, least: Power) -> Node:
        token = self._next
        if token.kind in {Kind.NAME, Kind.QUOTED_NAME}:
            return self._time() if self._time_follows() else self._name()
        if token.kind is Kind.NUMBER:
            return self._number()
        if token.kind is Kind.TEXT:
            return Literal(ValueType.TEXT, self._take().text, token.at)
        if self._takes("true", "false"):
            return Literal(ValueType.FLAG, token.text == "true", token.at)
        if self._takes("now"):
            return Now(token.at)
        if self._takes("-"):
            return Operation(Operator.NEGATIVE, (self._expression(Power.SIGN),), token.at)
        if least <= Power.NOT and self._takes("not"):
            return Operation(Operator.NOT, (self._expression(Power.NOT),), token.at)
        if self._takes("("):
            inner = self._expression(Power.OR)
            self._expect(")")
            return inner
        raise self._wrong("a field, a value or `(`")

    def _time_follows(self) -> bool:
        return self._next.is_word("time") and self._tokens[self._place + 1].is_symbol("(")

    def _time(self) -> Node:
        at = self._take().at
        self._expect("(")
        if self._next.kind is not Kind.TEXT:
            raise self._wrong(_TIME_WANTED)
        token = self._take()
        seconds = _seconds(token.text)
        if seconds is None:
            raise self._source.wrong(token.at, f"`{token.written}`", _TIME_WANTED)
        self._expect(")")
        return Literal(ValueType.TIME, seconds, at)

    def _number(self) -> Node:
        token = self._take()
        value = float(token.text.replace("_", ""))
        unit = self._next.text.lower().removesuffix("s") if self._next.kind is Kind.NAME else ""
        if self._next.is_word("month", "months", "year", "years"):
            raise self._wrong("days or weeks: months and years differ in length")
        type_ = ValueType.NUMBER
        if unit in UNITS:
            self._take()
            value, type_ = value * UNITS[unit], ValueType.DURATION
        if not math.isfinite(value):
            raise self._source.wrong(token.at, f"`{token.written}`", "a number below 1e308")
        return Literal(type_, value, token.at)

    def _name(self) -> Node:
        first = self._take()
        parts = [first.text]
        while self._takes("."):
            if self._next.kind not in {Kind.NAME, Kind.QUOTED_NAME, Kind.KEYWORD}:
                raise self._wrong("a name after the dot")
            part = self._take()
            parts.append(part.text if part.kind is Kind.QUOTED_NAME else part.written)
        if len(parts) > 1 and first.is_word(*SCOPE_WORDS):
            return Name(Scope(first.text.lower()), ".".join(parts[1:]), first.at)
        return Name(Scope.ITEM, ".".join(parts), first.at)


def _seconds(text: str) -> int | None:
    """Return the second of a date or time (UTC where it names no zone), None if it is none."""
    try:
        time = datetime.fromisoformat(text.strip())
        time = time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return math.floor(time.timestamp()) if 1971 <= time.year <= 2105 else None
