"""A filter that was read and checked, as a mask over a catalog."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from recsys.arrays import Mask, Rows, frozen
from recsys.predicates.checking import Needs, Step, checked, want_condition
from recsys.predicates.columns import Chosen, Columns
from recsys.predicates.evaluation import Evaluation
from recsys.predicates.expressions import Expression, Operator
from recsys.predicates.memory import MaskMemory
from recsys.predicates.reading import Reading
from recsys.predicates.values import ItemValues, Schema, Scope, Value


def check(expression: Expression, schema: Schema) -> Predicate:
    """Return the predicate that a filter is.

    Raises InvalidFilter at a name that the schema does not have, with the closest that it has, or
    at a value of the wrong type.
    """
    step = checked(expression.root, schema, expression.source)
    want_condition(step, expression.source)
    return Predicate(step)


@dataclass(frozen=True, slots=True)
class Predicate:
    """A condition on items, for one customer and context at one moment."""

    step: Step

    @property
    def text(self) -> str:
        """The canonical text: two predicates of one text are the same."""
        return self.step.text

    @property
    def shared(self) -> bool:
        """Whether it reads nothing of customer and context: one mask then serves all queries."""
        return not self.step.needs

    @property
    def needs(self) -> Needs:
        """The fields of customer and context that it reads."""
        return self.step.needs

    @property
    def uses_now(self) -> bool:
        """Whether it depends on the moment."""
        return self.step.uses_now

    def mask(
        self,
        items: ItemValues,
        values: Mapping[tuple[Scope, str], Value],
        now: int,
        *,
        memory: MaskMemory | None = None,
    ) -> Mask:
        """Return the (n_items,) read-only mask of where it holds.

        values: of customer and context; a field that is missing is unknown. One of another type
            than the schema's is a ValueError. now: seconds since 1970.
        memory: keeps what depends on the catalog alone for the next question.
        """
        columns = Columns(items, MaskMemory(0) if memory is None else memory)
        truth = Evaluation(Reading(columns, values, now)).truth(self.step)
        if isinstance(truth, np.ndarray):
            return frozen(truth)
        return frozen(np.full(items.n_items, truth))

    def of_rows(
        self,
        items: ItemValues,
        rows: Rows,
        values: Mapping[tuple[Scope, str], Value],
        now: int,
    ) -> Mask:
        """Return `mask(...)[rows]`, in time that grows with the (n,) int32 rows alone."""
        return self.mask(Chosen(items, rows), values, now)

    def parts(self) -> tuple[Predicate, ...]:
        """Return the predicates all of which must hold: those joined by `and` at the top."""
        if self.step.operator is not Operator.AND:
            return (self,)
        return tuple(part for one in self.step.operands for part in Predicate(one).parts())
