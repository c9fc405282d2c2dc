"""Whether a filter makes sense: every name exists, and every operator gets what it works on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from recsys.predicates.errors import InvalidFilter, Source
from recsys.predicates.expressions import Literal, Name, Node, Now, Operation, Operator
from recsys.predicates.rendering import text_of
from recsys.predicates.values import Schema, Scope, ValueType

Needs: TypeAlias = frozenset[tuple[Scope, str]]

ORDERED = frozenset({ValueType.NUMBER, ValueType.TIME, ValueType.DURATION})
"""Types whose values are larger or smaller."""

TEXTUAL = frozenset({ValueType.TEXT, ValueType.CATEGORY})
"""Types of one text."""

_ARTICLES = {
    ValueType.NUMBER: "a number",
    ValueType.TEXT: "a text",
    ValueType.CATEGORY: "a category",
    ValueType.TEXTS: "a list of texts",
    ValueType.TIME: "a time",
    ValueType.DURATION: "a duration",
    ValueType.FLAG: "a condition",
}
_RESULTS = {
    (ValueType.TIME, Operator.MINUS, ValueType.TIME): ValueType.DURATION,
    (ValueType.TIME, Operator.MINUS, ValueType.DURATION): ValueType.TIME,
    (ValueType.TIME, Operator.PLUS, ValueType.DURATION): ValueType.TIME,
    (ValueType.DURATION, Operator.PLUS, ValueType.TIME): ValueType.TIME,
    (ValueType.DURATION, Operator.TIMES, ValueType.NUMBER): ValueType.DURATION,
    (ValueType.NUMBER, Operator.TIMES, ValueType.DURATION): ValueType.DURATION,
    (ValueType.DURATION, Operator.BY, ValueType.NUMBER): ValueType.DURATION,
    (ValueType.DURATION, Operator.BY, ValueType.DURATION): ValueType.NUMBER,
    **{
        (one, operator, one): one
        for one in (ValueType.NUMBER, ValueType.DURATION)
        for operator in (Operator.PLUS, Operator.MINUS)
    },
    (ValueType.NUMBER, Operator.TIMES, ValueType.NUMBER): ValueType.NUMBER,
    (ValueType.NUMBER, Operator.BY, ValueType.NUMBER): ValueType.NUMBER,
}


@dataclass(frozen=True, slots=True)
class Step:
    """A part of a filter that makes sense: what it is, and what it depends on.

    type: of its value; of a list in parentheses, of what it lists.
    text: canonical. needs: fields of customer and context that it reads.
    by_item: whether it differs from item to item. uses_now: whether it depends on the moment.
    """

    node: Node
    type: ValueType
    operands: tuple[Step, ...]
    text: str
    by_item: bool
    needs: Needs
    uses_now: bool

    @property
    def lasting(self) -> bool:
        """Whether a catalog gives it the same value for every item, whoever asks and whenever."""
        return self.by_item and not self.needs and not self.uses_now

    @property
    def operator(self) -> Operator | None:
        """What is done with the operands; None for a value."""
        return self.node.operator if isinstance(self.node, Operation) else None


def checked(node: Node, schema: Schema, source: Source) -> Step:
    """Return the part with the types of its values. Raises InvalidFilter."""
    operands: tuple[Step, ...] = ()
    if isinstance(node, Operation):
        operands = tuple(checked(one, schema, source) for one in node.operands)
    return Step(
        node,
        _type_of(node, operands, schema, source),
        operands,
        text_of(node),
        by_item=_reads_item(node) or any(one.by_item for one in operands),
        needs=_own_needs(node).union(*(one.needs for one in operands)),
        uses_now=isinstance(node, Now) or any(one.uses_now for one in operands),
    )


def want_condition(step: Step, source: Source) -> None:
    """Raise InvalidFilter unless the step is true or false."""
    _want(step, {ValueType.FLAG}, source, "a condition, such as price <= 20")


def _reads_item(node: Node) -> bool:
    return isinstance(node, Name) and node.of is Scope.ITEM


def _own_needs(node: Node) -> Needs:
    if isinstance(node, Name) and node.of is not Scope.ITEM:
        return frozenset({(node.of, node.name)})
    return frozenset()


def _type_of(node: Node, operands: tuple[Step, ...], schema: Schema, source: Source) -> ValueType:
    match node:
        case Literal(type=ValueType.TEXT, value=""):
            raise source.wrong(node.at, "an empty text", "a text, or `is unknown` after the field")
        case Literal():
            return node.type
        case Now():
            return ValueType.TIME
        case Name():
            found = schema.field(node.of, node.name)
            if found is None:
                raise _unknown_name(node, schema, source)
            return found.type
        case Operation():
            return _RULES[node.operator](_Use(node.operator, operands, source))


def _unknown_name(name: Name, schema: Schema, source: Source) -> InvalidFilter:
    closest = schema.closest(name.of, name.name)
    wanted = f"a field of the {name.of}"
    if closest:
        wanted = f"{wanted}; close to it: {', '.join(closest)}"
    return source.wrong(name.at, f"the unknown name `{text_of(name)}`", wanted)


def _want(
    step: Step, types: set[ValueType] | frozenset[ValueType], source: Source, what: str
) -> None:
    if step.type not in types:
        raise source.wrong(step.node.at, _ARTICLES[step.type], what)


def _is_list(step: Step) -> bool:
    return step.operator is Operator.LIST


def _want_alike(first: Step, other: Step, source: Source) -> None:
    wanted = f"{_ARTICLES[first.type]}, as `{_short(first.text)}` is"
    _want(other, TEXTUAL if first.type in TEXTUAL else {first.type}, source, wanted)


def _short(text: str) -> str:
    return text if len(text) <= 30 else f"{text[:30]}…"


def _want_constant(choices: Step, source: Source) -> None:
    for one in choices.operands if _is_list(choices) else (choices,):
        if one.by_item:
            wanted = "a value that is the same for all items"
            if one.type is ValueType.TEXTS:
                wanted = f"{wanted}; of the item's own list say `{_short(one.text)} has`"
            raise source.wrong(one.node.at, f"the item's `{_short(one.text)}`", wanted)


@dataclass(frozen=True, slots=True)
class _Use:
    """An operator beside the operands that it came with."""

    operator: Operator
    operands: tuple[Step, ...]
    source: Source


def _junction(use: _Use) -> ValueType:
    for one in use.operands:
        _want(one, {ValueType.FLAG}, use.source, f"a condition beside `{use.operator}`")
    return ValueType.FLAG


def _equality(use: _Use) -> ValueType:
    first, other = use.operands
    what = "one value; for a list say `has`"
    _want(first, frozenset(ValueType) - {ValueType.TEXTS}, use.source, what)
    _want_alike(first, other, use.source)
    return ValueType.FLAG


def _order(use: _Use) -> ValueType:
    first = use.operands[0]
    _want(first, ORDERED, use.source, f"a number, a time or a duration before `{use.operator}`")
    for other in use.operands[1:]:
        _want_alike(first, other, use.source)
    return ValueType.FLAG


def _membership(use: _Use) -> ValueType:
    value, choices = use.operands
    what = "a text, a number, a time or a duration before `in`"
    _want(value, ORDERED | TEXTUAL, use.source, what)
    if _is_list(choices):
        _want_alike(value, choices.operands[0], use.source)
    else:
        _want(value, TEXTUAL, use.source, "a text before `in` and a field")
        _want(choices, {ValueType.TEXTS}, use.source, "a list of texts, or values in parentheses")
    _want_constant(choices, use.source)
    return ValueType.FLAG


def _listing(use: _Use) -> ValueType:
    first = use.operands[0]
    what = "a text, a number, a time or a duration in a list"
    _want(first, ORDERED | TEXTUAL, use.source, what)
    for other in use.operands[1:]:
        _want_alike(first, other, use.source)
    return first.type


def _holding(use: _Use) -> ValueType:
    held, choices = use.operands
    _want(held, {ValueType.TEXTS, ValueType.TEXT}, use.source, "a list of texts before `has`")
    if _is_list(choices):
        for one in choices.operands:
            _want(one, {ValueType.TEXT}, use.source, "a text after `has`")
    else:
        _want(choices, {ValueType.TEXTS}, use.source, f"a list of texts after `{use.operator}`")
    _want_constant(choices, use.source)
    return ValueType.FLAG


def _descent(use: _Use) -> ValueType:
    _want(use.operands[0], {ValueType.CATEGORY}, use.source, "a category before `under`")
    _want(
        use.operands[1], TEXTUAL, use.source, 'a category, such as "Garden > Tools", after `under`'
    )
    return ValueType.FLAG


def _likeness(use: _Use) -> ValueType:
    _want(
        use.operands[0],
        TEXTUAL,
        use.source,
        f"a text before `{use.operator}`; for a list say `has`",
    )
    _want(use.operands[1], TEXTUAL, use.source, f"a text after `{use.operator}`")
    return ValueType.FLAG


def _knowledge(use: _Use) -> ValueType:
    _want(use.operands[0], frozenset(ValueType), use.source, f"a value before `{use.operator}`")
    return ValueType.FLAG


def _arithmetic(use: _Use) -> ValueType:
    first, other = use.operands
    fitting = [three[2] for three in _RESULTS if three[:2] == (first.type, use.operator)]
    if not fitting:
        raise use.source.wrong(
            first.node.at, _ARTICLES[first.type], f"a number before `{use.operator}`"
        )
    found = _RESULTS.get((first.type, use.operator, other.type))
    if found is None:
        wanted = " or ".join(_ARTICLES[type_] for type_ in fitting)
        raise use.source.wrong(
            other.node.at, _ARTICLES[other.type], f"{wanted} after `{use.operator}`"
        )
    return found


def _sign(use: _Use) -> ValueType:
    wanted = "a number or a duration after `-`"
    _want(use.operands[0], {ValueType.NUMBER, ValueType.DURATION}, use.source, wanted)
    return use.operands[0].type


_Rule: TypeAlias = Callable[[_Use], ValueType]
_RULES: dict[Operator, _Rule] = {
    **dict.fromkeys((Operator.AND, Operator.OR, Operator.NOT), _junction),
    **dict.fromkeys((Operator.EQUAL, Operator.UNEQUAL), _equality),
    **dict.fromkeys(
        (Operator.BELOW, Operator.AT_MOST, Operator.ABOVE, Operator.AT_LEAST, Operator.BETWEEN),
        _order,
    ),
    Operator.IN: _membership,
    Operator.LIST: _listing,
    **dict.fromkeys((Operator.HAS_ANY, Operator.HAS_ALL), _holding),
    Operator.UNDER: _descent,
    **dict.fromkeys((Operator.CONTAINS, Operator.STARTS_WITH), _likeness),
    **dict.fromkeys((Operator.IS_KNOWN, Operator.IS_UNKNOWN), _knowledge),
    **dict.fromkeys((Operator.PLUS, Operator.MINUS, Operator.TIMES, Operator.BY), _arithmetic),
    Operator.NEGATIVE: _sign,
}
