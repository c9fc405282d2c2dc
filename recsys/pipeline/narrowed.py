"""Narrowed: what filters left of what could be shown, and what each of them took away."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from recsys.arrays import Rows
from recsys.context import Contexts
from recsys.eligibility import Eligibility
from recsys.pipeline.stages import Filter


@dataclass(frozen=True, slots=True)
class Narrowed:
    """What some filters left. left: (q,) items. removed: by each filter, in their order."""

    eligible: Eligibility
    left: Rows
    removed: tuple[tuple[str, Rows], ...]

    @classmethod
    def of(cls, eligible: Eligibility) -> Self:
        """Return all that there is before any filter."""
        return cls(eligible, eligible.counts(), ())

    def by(self, name: str, narrowing: Filter, contexts: Contexts) -> Self:
        """Return what one filter more leaves."""
        eligible = narrowing.narrow(contexts, self.eligible)
        if eligible is self.eligible:
            nothing = np.zeros_like(self.left)
            return replace(self, removed=(*self.removed, (name, nothing)))
        left = eligible.counts()
        return type(self)(eligible, left, (*self.removed, (name, self.left - left)))
