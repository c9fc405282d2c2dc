"""Where a checked filter holds: one truth for all items, or one each, by array operations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import numpy as np

from recsys.arrays import frozen
from recsys.predicates.checking import ORDERED, TEXTUAL, Step
from recsys.predicates.columns import Truth, compared, is_under
from recsys.predicates.expressions import Name, Operator
from recsys.predicates.holding import among, holding, numbers_among
from recsys.predicates.reading import Reading, Spelling, spelling_of
from recsys.predicates.values import ValueType

_COMPARED = {
    Operator.EQUAL: np.equal,
    Operator.BELOW: np.less,
    Operator.AT_MOST: np.less_equal,
    Operator.ABOVE: np.greater,
    Operator.AT_LEAST: np.greater_equal,
}
_TEXTS_COMPARED = {
    Operator.UNDER: is_under,
    Operator.CONTAINS: lambda text, part: part in text,
    Operator.STARTS_WITH: str.startswith,
}
_NO = np.bool_(False)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Where conditions hold, by what is read."""

    reading: Reading

    def truth(self, step: Step) -> Truth:
        """Return where a condition holds; what the catalog alone decides is computed once."""
        if not step.lasting or step.operator is None:
            return self._truth(step)
        return self.reading.columns.once("mask", step.text, lambda: _kept(self._truth(step)))

    def _truth(self, step: Step) -> Truth:
        match step.operator:
            case None:
                flag = self.reading.flag(step)
                return _NO if flag is None else flag
            case Operator.NOT:
                return np.logical_not(self.truth(step.operands[0]))
            case Operator.AND | Operator.OR:
                return self._junction(step)
            case Operator.UNEQUAL:
                return np.logical_not(self._comparison(step, Operator.EQUAL))
            case Operator.BETWEEN:
                return self._between(step)
            case Operator.IS_KNOWN:
                return self._known(step.operands[0], again=not step.lasting)
            case Operator.IS_UNKNOWN:
                return np.logical_not(self._known(step.operands[0], again=not step.lasting))
            case Operator.IN:
                return self._membership(step)
            case Operator.HAS_ANY | Operator.HAS_ALL:
                return self._holding(step)
            case Operator.UNDER | Operator.CONTAINS | Operator.STARTS_WITH:
                return self._likeness(step)
            case operator:
                return self._comparison(step, operator)

    def _junction(self, step: Step) -> Truth:
        """Return where all or any hold; what lasts is put together once, then the rest."""
        join = np.logical_and if step.operator is Operator.AND else np.logical_or
        lasting = [one for one in step.operands if one.lasting]
        others = [one for one in step.operands if not one.lasting]
        if not others or len(lasting) < 2:
            return reduce(join, map(self.truth, step.operands))
        texts = tuple(one.text for one in lasting)
        kept = self.reading.columns.once(
            str(step.operator), texts, lambda: _kept(reduce(join, map(self.truth, lasting)))
        )
        return reduce(join, map(self.truth, others), kept)

    def _comparison(self, step: Step, operator: Operator) -> Truth:
        left, right = step.operands
        if left.type in TEXTUAL:
            return self._same_text(step)
        if left.type is ValueType.FLAG:
            return self._same_flag(left, right)
        first, other = (self.reading.quantity(one, keep=not step.lasting) for one in step.operands)
        found: Truth = _COMPARED[operator](first, other)
        return found

    def _same_text(self, step: Step) -> Truth:
        spelling = spelling_of(*step.operands)
        left, right = (self.reading.text(one, spelling) for one in step.operands)
        if isinstance(right, str):
            return among(self.reading.columns, left, (right,), again=not step.lasting)
        if isinstance(left, str):
            return among(self.reading.columns, right, (left,), again=not step.lasting)
        return compared(left, right, str.__eq__)

    def _same_flag(self, left: Step, right: Step) -> Truth:
        known = np.logical_and(self._known(left, again=False), self._known(right, again=False))
        return np.logical_and(known, np.equal(self.truth(left), self.truth(right)))

    def _between(self, step: Step) -> Truth:
        reading, keep = self.reading, not step.lasting
        value, low, high = (reading.quantity(one, keep=keep) for one in step.operands)
        return np.logical_and(np.greater_equal(value, low), np.less_equal(value, high))

    def _known(self, step: Step, *, again: bool) -> Truth:
        match step.type:
            case ValueType.TEXT | ValueType.CATEGORY:
                text = self.reading.text(step, spelling_of(step))
                return np.bool_(text != "") if isinstance(text, str) else text.codes > 0
            case ValueType.TEXTS:
                texts = self.reading.texts(step)
                return np.greater(len(texts) if isinstance(texts, tuple) else texts.lengths, 0)
            case ValueType.FLAG:
                unknown = isinstance(step.node, Name) and self.reading.flag(step) is None
                return np.bool_(not unknown)
            case _:
                return np.logical_not(np.isnan(self.reading.quantity(step, keep=again)))

    def _membership(self, step: Step) -> Truth:
        reading, again = self.reading, not step.lasting
        value, choices = step.operands
        if value.type in ORDERED:
            wanted = np.array([reading.quantity(one, keep=False) for one in choices.operands])
            return numbers_among(reading.quantity(value, keep=again), wanted)
        if choices.operator is not Operator.LIST:
            return self._text_among(value, (choices,), spelling_of(value), again=again)
        alike: dict[Spelling, list[Step]] = {}
        for one in choices.operands:
            alike.setdefault(spelling_of(value, one), []).append(one)
        found = (self._text_among(value, ones, how, again=again) for how, ones in alike.items())
        return reduce(np.logical_or, found)

    def _text_among(
        self, value: Step, choices: Iterable[Step], spelling: Spelling, *, again: bool
    ) -> Truth:
        wanted = [text for one in choices for text in self.reading.choices(one, spelling)]
        text = self.reading.text(value, spelling)
        return among(self.reading.columns, text, wanted, again=again)

    def _holding(self, step: Step) -> Truth:
        held, choices = step.operands
        wanted = self.reading.choices(choices, Spelling.WRITTEN)
        in_full = step.operator is Operator.HAS_ALL
        if held.type is ValueType.TEXT:
            if in_full and len(set(wanted)) > 1:
                return _NO
            text = self.reading.text(held, Spelling.WRITTEN)
            return among(self.reading.columns, text, wanted, again=not step.lasting)
        texts = self.reading.texts(held)
        if isinstance(texts, tuple):
            return _holds(set(texts), set(wanted), in_full=in_full)
        columns, again = self.reading.columns, not step.lasting
        return holding(columns, texts, wanted, in_full=in_full, again=again)

    def _likeness(self, step: Step) -> Truth:
        operator = step.operator or Operator.UNDER
        spelling = Spelling.PATH if operator is Operator.UNDER else Spelling.FOLDED
        left, right = (self.reading.text(one, spelling) for one in step.operands)
        return compared(left, right, _TEXTS_COMPARED[operator])


def _holds(texts: set[str], wanted: set[str], *, in_full: bool) -> np.bool_:
    """Return whether known texts hold what is wanted, of which an empty one is unknown."""
    return np.bool_(wanted <= texts and bool(wanted) if in_full else bool(wanted & texts))


def _kept(truth: Truth) -> Truth:
    return frozen(truth) if isinstance(truth, np.ndarray) else truth
