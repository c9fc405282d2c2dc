"""What evaluation found: plain values, kept with a run and printed for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from recsys.evaluation.metrics import Interval, Values

BLEND = "blend"
FREQUENCY = "personal frequency"
POPULAR = "popular"

CURVE_DEPTHS = (5, 10, 20, 50)
DEPTH = 10
"""Places that count in the main measures: recall@10, NDCG@10, coverage@10."""


@dataclass(frozen=True, slots=True)
class Line:
    """One list-maker in one placement.

    share: part of its cases in which it proposed anything. curves: NDCG and recall by depth.
    """

    name: str
    recall: Interval
    ndcg: Interval
    coverage: float
    share: float
    ndcg_by_depth: Mapping[str, float]
    recall_by_depth: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Table:
    """All list-makers of one placement on the same cases.

    part: `all`, or `repeat` and `new` for items bought before and not.
    best_single: the best source alone. over_best, over_popular: paired differences of NDCG@10,
    blend less the other. contributions: share of each source in the scores of the blend's lists.
    situation: what was asked; empty in reports of releases that did not say so.
    """

    placement: str
    part: str
    n_cases: int
    lines: tuple[Line, ...]
    best_single: str
    over_best: Interval
    over_popular: Interval
    contributions: Mapping[str, float]
    situation: str = ""

    def line(self, name: str) -> Line:
        """Return the line of one list-maker. Raises KeyError."""
        return {line.name: line for line in self.lines}[name]

    @property
    def times_popular(self) -> float:
        """NDCG@10 of the blend over that of popularity; infinite where that is zero."""
        popular = self.line(POPULAR).ndcg.mean
        return self.line(BLEND).ndcg.mean / popular if popular else float("inf")


@dataclass(frozen=True, slots=True)
class Report:
    """One evaluation.

    instants: when its questions were asked, ISO 8601, one a test window. days: of a window.
    """

    instants: tuple[str, ...]
    days: float
    tables: tuple[Table, ...]

    def table(self, placement: str, part: str = "all") -> Table:
        """Return one table. Raises KeyError."""
        return {(table.placement, table.part): table for table in self.tables}[placement, part]

    @property
    def placements(self) -> tuple[str, ...]:
        """Names of the placements, in order."""
        return tuple(table.placement for table in self.tables if table.part == "all")

    def metrics(self) -> dict[str, float]:
        """Return the main measures by name, such as `home_ndcg_at_10`."""
        found = {}
        for table in self.tables:
            stem = table.placement if table.part == "all" else f"{table.placement}_{table.part}"
            for line in table.lines:
                who = "" if line.name == BLEND else f"_{line.name.replace(' ', '_')}"
                found[f"{stem}{who}_ndcg_at_{DEPTH}"] = line.ndcg.mean
                found[f"{stem}{who}_recall_at_{DEPTH}"] = line.recall.mean
                found[f"{stem}{who}_coverage_at_{DEPTH}"] = line.coverage
            found[f"{stem}_times_popular"] = min(table.times_popular, 1e9)
        return found

    def to_json(self) -> str:
        """Return the report as JSON."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def of_json(cls, text: str) -> Self:
        """Return the report of a JSON text. Raises ValueError, KeyError or TypeError."""
        content = json.loads(text)
        return cls(
            tuple(content["instants"]), content["days"], tuple(map(_table, content["tables"]))
        )


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A report, and the values behind it that pairs are made of.

    values: (n_customers,) NDCG@10 of the blend by placement, each customer's mean over the
        windows, on the cases that splits and seed name.
    popular: the same of popularity.
    """

    report: Report
    values: Mapping[str, Values]
    popular: Mapping[str, Values]


def _table(content: dict[str, Any]) -> Table:
    lines = tuple(
        Line(**{**line, "recall": Interval(**line["recall"]), "ndcg": Interval(**line["ndcg"])})
        for line in content["lines"]
    )
    differences = {name: Interval(**content[name]) for name in ("over_best", "over_popular")}
    return Table(**{**content, "lines": lines, **differences})
