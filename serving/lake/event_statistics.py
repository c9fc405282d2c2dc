"""What the events of the last days add up to, over the lake and the tail of the log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from serving.lake.columns import event_columns
from serving.lake.engine import lake_engine
from serving.lake.history import lake_files, view_of_files
from serving.lake.lake import said_as_lake_unavailable
from serving.log.records import microseconds
from serving.log.tail import LogTail

LATE = timedelta(hours=1)
VERY_LATE = timedelta(days=1)

_FILES = "SELECT *, time::DATE AS day FROM files WHERE position <= $drained"
_COUNTED = """
WITH recent AS (
  SELECT day, type, channel, robot, event_id, epoch_us(received) - epoch_us(time) AS late,
    CASE WHEN user_id <> '' THEN 'u' || user_id WHEN visitor_id <> '' THEN 'v' || visitor_id
         ELSE 's' || session_id END AS who
  FROM ({sources}) WHERE epoch_us(time) >= $first
)
SELECT grouping(day, type, channel), day, type, channel, count(*), count(DISTINCT hash(who)),
  count(*) FILTER (robot), count(*) FILTER (late > $late), count(*) FILTER (late > $very_late),
  count(*) - count(DISTINCT hash(event_id))
FROM recent GROUP BY GROUPING SETS ((day), (type), (channel), ())
"""
"""One pass: a row for each day, each type, each channel, and one for all together."""

_OF_DAY, _OF_TYPE, _OF_CHANNEL, _OF_ALL = 0b011, 0b101, 0b110, 0b111


@dataclass(frozen=True, slots=True)
class EventStatistics:
    """What the events of some days add up to.

    customers: users, visitors and sessions that events are kept under.
    robots: events of software that called itself a robot.
    late, very_late: events that came an hour, and a day, after their time.
    repeats: events whose id came again after the log had forgotten it.
    """

    events: int
    customers: int
    robots: int
    late: int
    very_late: int
    repeats: int
    by_day: Mapping[date, int]
    by_type: Mapping[str, int]
    by_channel: Mapping[str, int]


def event_statistics(tail: LogTail, lake_folder: Path, first: datetime) -> EventStatistics:
    """Return what the events with a time from `first` on add up to; other days are not read.

    first: UTC. Raises Unavailable.
    """
    drained = tail.drained_through
    rest = event_columns(tail.events(drained, tail.last_position()))
    files = lake_files(lake_folder / "events", first.date())
    asked = {
        "first": microseconds(first),
        "late": LATE // timedelta(microseconds=1),
        "very_late": VERY_LATE // timedelta(microseconds=1),
    }
    with said_as_lake_unavailable(), lake_engine(lake_folder) as engine:
        engine.register("rest", rest)
        sources = "FROM rest"
        if files:
            view_of_files(engine, files)
            sources = f"{_FILES} UNION ALL BY NAME {sources}"
            asked["drained"] = drained
        return _statistics(engine.execute(_COUNTED.format(sources=sources), asked).fetchall())


def _statistics(rows: Iterable[tuple[Any, ...]]) -> EventStatistics:
    """Return what the rows of the query say. A day, type or channel is told by what is grouped."""
    counts: dict[int, dict[Any, int]] = {_OF_DAY: {}, _OF_TYPE: {}, _OF_CHANNEL: {}}
    totals = (0,) * 6
    for grouped, day, kind, channel, *numbers in rows:
        if grouped == _OF_ALL:
            totals = tuple(numbers)
        else:
            name = {_OF_DAY: day, _OF_TYPE: kind, _OF_CHANNEL: channel}[grouped]
            counts[grouped][name] = numbers[0]
    return EventStatistics(*totals, counts[_OF_DAY], counts[_OF_TYPE], counts[_OF_CHANNEL])
