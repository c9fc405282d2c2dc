"""Filled lists, and why each is as long as it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from recsys.arrays import Rows, keys_of
from recsys.candidates import Candidates
from recsys.fill_report import FillReport, Removed, Unmet
from recsys.pipeline.relevance import Choice
from recsys.pipeline.stages import Arranged


@dataclass(frozen=True, slots=True)
class Filled:
    """The lists of a batch, and why each is as long as it is.

    choice: the lists, and what choosing them cost. wanted, eligible, on_page: (q,) items asked for,
    left by all filters, and of these in earlier lists of the page. removed: the name of each
    filter, and the (q,) items it took away. unmet: of each query, rules of the shop that its list
    does not keep. rules: of each item listed, those that touched it; nothing of either where there
    was none.
    """

    choice: Choice
    wanted: Rows
    eligible: Rows
    on_page: Rows
    removed: tuple[tuple[str, Rows], ...]
    unmet: tuple[tuple[Unmet, ...], ...] = ()
    rules: tuple[tuple[str, ...], ...] = ()

    @property
    def listed(self) -> Candidates:
        """Each query's list, best first."""
        return self.choice.listed

    def arranged(self, done: Arranged) -> Self:
        """Return the lists as rules want them; what these brought in was not drawn."""
        drawn = keys_of(self.listed.queries, self.listed.rows)
        chances = np.append(self.choice.propensities, np.float32(1))
        order = np.argsort(drawn)
        wanted = keys_of(done.listed.queries, done.listed.rows)
        places = np.minimum(np.searchsorted(drawn, wanted, sorter=order), max(len(drawn) - 1, 0))
        found = np.append(order, len(drawn))[places]
        there = np.append(drawn, -1)[found] == wanted
        propensities = chances[np.where(there, found, len(drawn))]
        choice = replace(self.choice, listed=done.listed, propensities=propensities)
        return replace(self, choice=choice, unmet=done.unmet, rules=done.rules)

    def lengths(self) -> Rows:
        """Return the (q,) lengths of the lists."""
        return np.bincount(self.listed.queries, minlength=len(self.wanted)).astype(np.int32)

    def report(self, query: int) -> FillReport:
        """Return why one list is as long as it is."""
        return self.reports()[query]

    def reports(self) -> list[FillReport]:
        """Return why each of the (q,) lists is as long as it is."""
        names = tuple(name for name, _ in self.removed)
        removed = zip(*(counts.tolist() for _, counts in self.removed), strict=True)
        counts = (self.wanted, self.eligible, self.lengths(), self.on_page)
        columns = (
            zip(*(column.tolist() for column in counts), strict=True),
            removed if names else [()] * len(self.wanted),
            self.unmet or [()] * len(self.wanted),
            zip(self.choice.irrelevant.tolist(), self.choice.kept.tolist(), strict=True),
        )
        return [_report(names, *one) for one in zip(*columns, strict=True)]


def _report(
    names: tuple[str, ...],
    counts: tuple[int, int, int, int],
    removed: tuple[int, ...],
    unmet: tuple[Unmet, ...],
    relevance: tuple[int, float],
) -> FillReport:
    """Return the report of one list; `removed` by the filters of these names."""
    wanted, eligible, returned, on_page = counts
    irrelevant, kept = relevance
    return FillReport(
        wanted=wanted,
        eligible=eligible,
        returned=returned,
        on_page=on_page,
        removed=tuple(map(Removed, names, removed)),
        irrelevant=irrelevant,
        relevance_kept=kept,
        unmet=unmet,
    )
