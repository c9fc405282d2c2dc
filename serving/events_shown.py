"""Events, statistics and rejected events as a person reads them, in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from serving.lake.event_statistics import EventStatistics
from serving.lake.history import Row
from serving.log.event_log import Rejected
from serving.positions import Positions
from serving.quarantine import Replayed, document_of
from serving.terminal import printable, printable_json

_BAR_CELLS = 40
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_MOST_WRONG = 20
_UNITS = ("B", "KB", "MB", "GB", "TB")
_UNSAID_QUANTITY = 1.0
_OF_32_BITS = ("quantity", "rating")
_MORE = ("price", "currency", "order_id", "rating", "query", "category", "campaign_id", "market")
_WHO = (("user", "user_id"), ("visitor", "visitor_id"), ("session", "session_id"))


def json_of(row: Row) -> str:
    """Return an event as one line of JSON, without what it does not say."""
    said = {name: _number(name, value) for name, value in row.items() if _is_said(value)}
    return printable_json(orjson.dumps(said).decode())


def _is_said(value: Any) -> bool:
    """Return whether an event gives this; a number of 0 is given."""
    return not (value is None or value is False or value == "")


def line_of(row: Row) -> str:
    """Return an event as one line of text."""
    who = next((f"{kind} {row[name]}" for kind, name in _WHO if row[name]), "")
    parts = [row["item_id"], who, row["channel"], *_details(row), "robot" if row["robot"] else ""]
    told = "  ".join(filter(None, parts))
    line = f"{row['position']:>9}  {row['time']:%Y-%m-%d %H:%M:%S}  {row['type']:<20}  {told}"
    return printable(line)


def _details(row: Row) -> Iterator[str]:
    if row["quantity"] != _UNSAID_QUANTITY:
        yield f"quantity {_number('quantity', row['quantity']):.12g}"
    for name in _MORE:
        value = _number(name, row[name])
        if _is_said(value):
            yield f"{name} {value:.12g}" if isinstance(value, float) else f"{name} {value}"


def _number(name: str, value: Any) -> Any:
    """Return a value; a number of 32 bits with the 7 digits that it has, not with 17."""
    return float(f"{value:.7g}") if name in _OF_32_BITS and value is not None else value


def bars(title: str, counts: Mapping[Any, int]) -> Table:
    """Return counts as a table with a bar each."""
    table = Table(title, "events", "", box=None, pad_edge=False)
    table.columns[1].justify = "right"
    most = max(counts.values(), default=1)
    for name, count in counts.items():
        table.add_row(
            Text(printable(str(name)) or "(not said)"), f"{count:,}", Text(_bar(count / most))
        )
    return table


def _bar(share: float) -> str:
    whole, part = divmod(round(share * _BAR_CELLS * 8), 8)
    return "█" * whole + (_EIGHTHS[part] if part else "")


@dataclass(frozen=True, slots=True)
class Overview:
    """All that `recsys events stats` tells.

    days: how many days, today among them, the statistics are of.
    quarantine: how many rejected events are kept, by field and reason.
    log_bytes, lake_bytes: sizes on the disk.
    """

    days: int
    statistics: EventStatistics
    positions: Positions
    quarantine: Mapping[str, int]
    log_bytes: int
    lake_bytes: int


def overview(told: Overview) -> RenderableType:
    """Return the overview, ready to be printed."""
    counts = told.statistics
    parts: list[RenderableType] = [
        Text(f"{counts.events:,} events of the last {told.days} days, by their own time (UTC)"),
        *(_spaced(bars(*named)) for named in _charts(counts)),
        _spaced(Text("\n".join(_shares(counts)))),
    ]
    if told.quarantine:
        parts.append(_spaced(bars("quarantine", told.quarantine)))
    return Group(*parts, _spaced(Text("\n".join(_places(told)))))


def rejected_lines(rejected: Iterable[Rejected]) -> Iterator[str]:
    """Yield rejected events as lines of text."""
    for one in rejected:
        came = f"{one.received:%Y-%m-%d %H:%M:%S}"
        yield printable(f"{one.number:>7}  {came}  {one.field:<18}  {one.message}")


def rejected_json(rejected: Iterable[Rejected]) -> Iterator[str]:
    """Yield rejected events as lines of JSON."""
    for one in rejected:
        yield printable_json(orjson.dumps(document_of(one)).decode())


def replayed_lines(found: Replayed) -> Iterator[str]:
    """Yield what became of events that were sent again."""
    yield (
        f"{found.new:,} went in, {found.known:,} were known already, {len(found.wrong):,} are "
        f"still wrong; {found.resolved:,} left quarantine"
    )
    for wrong in found.wrong[:_MOST_WRONG]:
        yield printable(f"  {wrong.number or 'not in quarantine'}: {wrong.message}")
    if len(found.wrong) > _MOST_WRONG:
        yield f"  and {len(found.wrong) - _MOST_WRONG:,} more"


def _charts(counts: EventStatistics) -> Iterator[tuple[str, Mapping[Any, int]]]:
    yield "day", dict(sorted(counts.by_day.items()))
    for title, by_name in (("type", counts.by_type), ("channel", counts.by_channel)):
        yield title, dict(sorted(by_name.items(), key=lambda one: (-one[1], one[0])))


def _shares(counts: EventStatistics) -> Iterator[str]:
    yield f"customers   {counts.customers:>12,}"
    for name, count, means in (
        ("robots", counts.robots, "by software that called itself one"),
        ("late", counts.late, "came more than an hour after their time"),
        ("very late", counts.very_late, "more than a day"),
        ("repeats", counts.repeats, "came under a forgotten id; training drops them"),
    ):
        share = count / counts.events if counts.events else 0.0
        yield f"{name:<11} {count:>12,}  {share:>6.1%}  {means}"


def _places(told: Overview) -> Iterator[str]:
    at = told.positions
    states = "the store is not running" if at.applied is None else f"applied through {at.applied:,}"
    yield f"log         {size(told.log_bytes):>12}  last position {at.last:,}"
    yield f"lake        {size(told.lake_bytes):>12}  drained through {at.drained:,}"
    yield f"states      {'':>12}  {states}"
    yield f"trimmed     {'':>12}  events through {at.trimmed:,} are in the lake alone"


def size(n_bytes: float) -> str:
    """Return a size in bytes as people say it."""
    for unit in _UNITS:
        if n_bytes < 1_000 or unit == _UNITS[-1]:
            break
        n_bytes /= 1_000
    return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"


def _spaced(part: RenderableType) -> RenderableType:
    return Group(Text(""), part)
