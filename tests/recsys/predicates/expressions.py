"""Random filters that make sense, and random small shops."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from recsys.predicates.expressions import Expression, Literal, Name, Node, Now, Operation, Operator
from recsys.predicates.values import Scope, ValueType
from tests.recsys.predicates.shelf import FIELDS

NUMBERS = [0.0, 1.0, 2.0, 2.5, 3.0, 1e300]
TEXTS = ["a", "b", "A", "straße", "STRASSE", "a > b", 'say "x"\n\\', "\x00'`"]
PATHS = ["a", "a > b", "a>b", "a > b > c", "ab", "b", " > "]
TIMES = [0, 86_400, 1_700_000_000, 1_700_086_400]
SPANS = [0.0, 0.5, 60.0, 86_400.0, 90_000.0]
NOW = 1_700_086_400

ORDERED = (ValueType.NUMBER, ValueType.TIME, ValueType.DURATION)
COMPARISONS = (Operator.BELOW, Operator.AT_MOST, Operator.ABOVE, Operator.AT_LEAST)
EQUALITIES = (Operator.EQUAL, Operator.UNEQUAL)

_DRAWN: dict[ValueType, st.SearchStrategy[Any]] = {
    ValueType.NUMBER: st.sampled_from(NUMBERS),
    ValueType.TEXT: st.sampled_from(TEXTS),
    ValueType.CATEGORY: st.sampled_from(PATHS),
    ValueType.TEXTS: st.lists(st.sampled_from(TEXTS), max_size=4).map(tuple),
    ValueType.TIME: st.sampled_from(TIMES),
    ValueType.DURATION: st.sampled_from(SPANS),
    ValueType.FLAG: st.booleans(),
}


def values_of(scope: Scope) -> st.SearchStrategy[dict[str, Any]]:
    """Return values for some of a scope's fields."""
    fields = {name: st.none() | _DRAWN[type_] for name, type_ in FIELDS[scope].items()}
    return st.fixed_dictionaries({}, optional=fields)


ITEMS = st.lists(values_of(Scope.ITEM), max_size=6)
ASKERS = st.builds(
    lambda customer, context: {
        **{(Scope.CUSTOMER, name): value for name, value in customer.items()},
        **{(Scope.CONTEXT, name): value for name, value in context.items()},
    },
    values_of(Scope.CUSTOMER),
    values_of(Scope.CONTEXT),
)


def _operation(
    which: st.SearchStrategy[Operator], *operands: st.SearchStrategy[Any]
) -> st.SearchStrategy[Node]:
    return st.builds(Operation, which, st.tuples(*operands))


def _names(*types: ValueType, constant: bool = False) -> st.SearchStrategy[Node]:
    return st.sampled_from(
        [
            Name(scope, name)
            for scope, fields in FIELDS.items()
            for name, type_ in fields.items()
            if type_ in types and not (constant and scope is Scope.ITEM)
        ]
    )


def _literals(type_: ValueType) -> st.SearchStrategy[Node]:
    if type_ is ValueType.TIME:
        # Those that a filter may name begin in 1971.
        return st.builds(Literal, st.just(type_), st.sampled_from(TIMES[2:]))
    return st.builds(Literal, st.just(type_), _DRAWN[type_])


def _values(type_: ValueType, depth: int, *, constant: bool = False) -> st.SearchStrategy[Node]:
    """Return values of a type: literals, names and sums."""
    plain = _literals(type_) | _names(type_, constant=constant)
    if type_ is ValueType.TIME:
        plain |= st.just(Now())
    if depth == 0 or type_ not in ORDERED:
        return plain

    def inner(other: ValueType) -> st.SearchStrategy[Node]:
        return _values(other, depth - 1, constant=constant)

    plus, minus = st.just(Operator.PLUS), st.just(Operator.MINUS)
    times, by = st.just(Operator.TIMES), st.just(Operator.BY)
    number, time, span = ORDERED[0], ORDERED[1], ORDERED[2]
    negative = _operation(st.just(Operator.NEGATIVE), inner(type_))
    match type_:
        case ValueType.NUMBER:
            four = st.sampled_from([Operator.PLUS, Operator.MINUS, Operator.TIMES, Operator.BY])
            sums = _operation(four, inner(number), inner(number))
            return plain | negative | sums | _operation(by, inner(span), inner(span))
        case ValueType.TIME:
            return (
                plain
                | _operation(plus | minus, inner(time), inner(span))
                | _operation(plus, inner(span), inner(time))
            )
        case _:
            return (
                plain
                | negative
                | _operation(minus, inner(time), inner(time))
                | _operation(plus | minus, inner(span), inner(span))
                | _operation(times | by, inner(span), inner(number))
                | _operation(times, inner(number), inner(span))
            )


def _texts(*, constant: bool = False) -> st.SearchStrategy[Node]:
    names = _names(ValueType.TEXT, ValueType.CATEGORY, constant=constant)
    return _literals(ValueType.TEXT) | _literals(ValueType.CATEGORY).map(_as_text) | names


def _as_text(path: Node) -> Node:
    assert isinstance(path, Literal)
    return Literal(ValueType.TEXT, path.value)


def _lists(one: st.SearchStrategy[Node], most: int = 12) -> st.SearchStrategy[Node]:
    several = st.lists(one, min_size=1, max_size=most).map(tuple)
    return st.builds(Operation, st.just(Operator.LIST), several)


def _comparisons(depth: int) -> st.SearchStrategy[Node]:
    ordered = st.one_of(
        [
            _operation(
                st.sampled_from([*COMPARISONS, *EQUALITIES]),
                _values(type_, depth),
                _values(type_, depth),
            )
            | _operation(st.just(Operator.BETWEEN), *[_values(type_, depth)] * 3)
            | _operation(
                st.just(Operator.IN),
                _values(type_, depth),
                _lists(_values(type_, depth, constant=True)),
            )
            for type_ in ORDERED
        ]
    )
    held = _names(ValueType.TEXTS, ValueType.TEXT)
    chosen = _lists(_texts(constant=True)) | _names(ValueType.TEXTS, constant=True)
    plain = _literals(ValueType.TEXT) | _names(ValueType.TEXT, constant=True)
    wanted = _lists(plain) | _names(ValueType.TEXTS, constant=True)
    textual = st.one_of(
        _operation(st.sampled_from(EQUALITIES), _texts(), _texts()),
        _operation(st.just(Operator.IN), _texts(), chosen),
        _operation(st.sampled_from([Operator.HAS_ANY, Operator.HAS_ALL]), held, wanted),
        _operation(st.just(Operator.UNDER), _names(ValueType.CATEGORY), _texts()),
        _operation(st.sampled_from([Operator.CONTAINS, Operator.STARTS_WITH]), _texts(), _texts()),
    )
    known = st.sampled_from([Operator.IS_KNOWN, Operator.IS_UNKNOWN])
    return st.one_of(
        ordered,
        textual,
        _operation(known, _names(*ValueType)),
        _operation(known, _values(ValueType.NUMBER, depth)),
        _names(ValueType.FLAG),
        _literals(ValueType.FLAG),
    )


def _conditions(depth: int) -> st.SearchStrategy[Node]:
    plain = _comparisons(min(depth, 2))
    if depth == 0:
        return plain
    inner = _conditions(depth - 1)
    several = st.lists(inner, min_size=2, max_size=4).map(tuple)
    return st.one_of(
        plain,
        st.builds(Operation, st.sampled_from([Operator.AND, Operator.OR]), several),
        _operation(st.just(Operator.NOT), inner),
        _operation(st.sampled_from(EQUALITIES), inner, inner),
    )


EXPRESSIONS = st.builds(Expression, _conditions(3))
