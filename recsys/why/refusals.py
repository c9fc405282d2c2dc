"""Which filters refuse one item, and what they looked at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import numpy as np

from recsys.conditions import Meets, Values
from recsys.context import Contexts
from recsys.eligibility import Eligibility
from recsys.item_values import ShelfValues
from recsys.pipeline.pipeline import NamedFilter
from recsys.predicates.checking import Step
from recsys.predicates.expressions import Name
from recsys.predicates.values import UNKNOWN_TIME, Field, ItemValues, Scope, Value, ValueType
from recsys.why.explanation import Compared, Refusal

MOST_SHOWN = 20
"""Most texts of a list that are shown."""


def refusals(filters: Iterable[NamedFilter], contexts: Contexts, row: int) -> Iterator[Refusal]:
    """Yield every one of the filters that refuses a row to the one query, each by itself."""
    for named in filters:
        if isinstance(named.filter, Meets):
            if (values := _unmet(named.filter, contexts, row)) is not None:
                yield Refusal(named.name, values)
        elif not _allows(named, contexts, row):
            yield Refusal(named.name)


def _allows(named: NamedFilter, contexts: Contexts, row: int) -> bool:
    everything = Eligibility.everything(len(contexts.shelf.products), 1)
    left = named.filter.narrow(contexts, everything)
    pair = np.zeros(1, dtype=np.int32), np.array([row], dtype=np.int32)
    return bool(left.allows(*pair)[0])


def _unmet(condition: Meets, contexts: Contexts, row: int) -> tuple[Compared, ...] | None:
    """Return what a condition looked at that a row does not meet; None where it does."""
    asked, predicate = contexts.queries[0], condition.predicate
    now = int(asked.now.timestamp())
    values = condition.conditions.values_of(predicate.needs, contexts, 0)
    shown = condition.conditions.values.of(asked.market, now)
    if predicate.of_rows(shown, np.array([row], dtype=np.int32), values, now)[0]:
        return None
    return tuple(compared(predicate.step, shown, values, row))


def compared(step: Step, shown: ShelfValues, values: Values, row: int) -> Iterator[Compared]:
    """Yield every field that a condition reads, once, with what it holds for a row."""
    for name, kind in dict.fromkeys(_names(step)):
        field = Field(name.name, kind, name.of)
        if name.of is Scope.ITEM:
            value = value_of(shown, name.name, kind, row)
        else:
            value = values[name.of, name.name]
        yield Compared(field.path, as_text(value, kind))


def _names(step: Step) -> Iterator[tuple[Name, ValueType]]:
    if isinstance(step.node, Name):
        yield step.node, step.type
    for one in step.operands:
        yield from _names(one)


def value_of(items: ItemValues, name: str, kind: ValueType, row: int) -> Value:
    """Return what a field of a type holds for a row; None or empty where it is unknown."""
    match kind:
        case ValueType.NUMBER | ValueType.DURATION:
            number = float(items.numbers(name)[row])
            return None if np.isnan(number) else number
        case ValueType.TEXT | ValueType.CATEGORY:
            coded = items.texts(name)
            return coded.names[int(coded.codes[row])]
        case ValueType.TEXTS:
            lists = items.lists(name)
            codes = lists.codes[lists.offsets[row] : lists.offsets[row + 1]]
            return tuple(lists.names[code] for code in codes.tolist())
        case ValueType.TIME:
            second = int(items.times(name)[row])
            return None if second == UNKNOWN_TIME else second
        case ValueType.FLAG:
            return bool(items.flags(name)[row])


def as_text(value: Value, kind: ValueType) -> str:
    """Return a value as a person reads it; empty where it is unknown."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() if kind is ValueType.TIME:
            return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        case int() | float():
            return f"{value:.12g}"
        case tuple():
            more = ", ..." if len(value) > MOST_SHOWN else ""
            return ", ".join(value[:MOST_SHOWN]) + more
        case _:
            return value
