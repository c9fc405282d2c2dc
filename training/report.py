"""The offline tables for people: numbers with their intervals, and what they say in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from recsys.evaluation.metrics import Interval
from recsys.evaluation.situations import DUE_WITHIN
from recsys.pipeline.placement import Situation
from training.measures import BLEND, DEPTH, POPULAR, Line, Report, Table

PARTS = {
    "all": "all cases",
    "repeat": "items bought before, alone",
    "new": "items never bought before, alone",
}
QUESTIONS: Mapping[str, str] = {
    Situation.VISIT: "The customer arrives: what will they buy next?",
    Situation.DISCOVERY: "The customer arrives: what will they buy that they never bought before?",
    Situation.BASKET: "Half of a basket is there: what else goes into it?",
    Situation.SESSION: "An item is looked at: what else is looked at or bought in this session?",
    Situation.DUE: "Of all that was bought before: what is bought again within "
    f"{DUE_WITHIN.astype(int)} days?",
}
"""What a placement is asked in evaluation, by its situation."""


def rendered(report: Report) -> RenderableType:
    """Return the tables of a report, each with a sentence under it."""
    parts: list[RenderableType] = []
    for table in report.tables:
        parts += [_table(table), Text(f"  {asked(table)}{in_words(table)}\n")]
    parts.append(
        Text(
            f"Measured once, at {' and '.join(report.instants)}, on what customers did in the "
            f"{report.days:g} days after. NDCG@{DEPTH}: 1 is a perfect first ten. Brackets hold "
            "95 % intervals by bootstrap over customers; coverage is the share of the catalog in "
            "at least one first ten."
        )
    )
    return Group(*parts)


def in_words(table: Table) -> str:
    """Return what a table says of the blend, in one sentence."""
    against_best = (
        f"The blend is {_verdict(table.over_best)} than the best single source "
        f"({table.best_single}): {_signed(table.over_best)} NDCG@{DEPTH}"
    )
    return f"{against_best}, and {table.times_popular:.2f} times popularity."


def asked(table: Table) -> str:
    """Return the question behind a table and a space, nothing where the report does not say it."""
    return f"{QUESTIONS[table.situation]} " if table.situation in QUESTIONS else ""


def lines_of(report: Report) -> Iterator[str]:
    """Yield the report as plain lines, for a text file."""
    for table in report.tables:
        yield f"{table.placement}, {PARTS[table.part]}, {table.n_cases} customers"
        for line in table.lines:
            yield (
                f"  {line.name:22s} recall {_interval(line.recall)}  "
                f"ndcg {_interval(line.ndcg)}  coverage {line.coverage:.2%}"
            )
        yield f"  {asked(table)}{in_words(table)}"
        yield ""


def _table(table: Table) -> RichTable:
    rich = RichTable(
        title=f"{table.placement}: {PARTS[table.part]} ({table.n_cases:,} customers)",
        title_justify="left",
        title_style="bold",
    )
    rich.add_column("list by", no_wrap=True)
    for name in (f"recall@{DEPTH}", f"NDCG@{DEPTH}", "coverage"):
        rich.add_column(name, justify="right", no_wrap=True)
    for line in table.lines:
        rich.add_row(*_cells(line), style=_style(line))
    return rich


def _cells(line: Line) -> tuple[str, ...]:
    if not line.share:
        return (line.name, "none proposed", "", "")
    return (line.name, _interval(line.recall), _interval(line.ndcg), f"{line.coverage:.2%}")


def _style(line: Line) -> str:
    if line.name == BLEND:
        return "bold"
    return "dim" if line.name == POPULAR else ""


def _interval(interval: Interval) -> str:
    """Return a mean and its interval, short enough for a terminal of 80 columns."""
    mean, low, high = (
        f"{value:.4f}".removeprefix("0") for value in (interval.mean, interval.low, interval.high)
    )
    return f"{mean} [{low} {high}]"


def _signed(interval: Interval) -> str:
    return f"{interval.mean:+.4f} [{interval.low:+.4f}, {interval.high:+.4f}]"


def _verdict(interval: Interval) -> str:
    if interval.low > 0:
        return "better"
    return "worse" if interval.high < 0 else "neither better nor worse"
