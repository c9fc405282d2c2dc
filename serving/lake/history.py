"""Events as people look at them: the newest, and what comes next, from log and lake as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from recsys.events import EventType, Position
from serving.lake.columns import event_columns
from serving.lake.engine import lake_engine
from serving.lake.files import data_files
from serving.lake.lake import said_as_lake_unavailable
from serving.log.tail import LogTail

Row = dict[str, Any]
"""One event, by the columns of the lake's events."""

RECORDS_A_STEP = 20_000
_WHO = ("user_id", "visitor_id", "session_id")
_BETWEEN = """
SELECT * FROM files
WHERE position > $after AND position <= $through AND ($type = '' OR type = $type)
  AND ($who = '' OR $who IN (user_id, visitor_id, session_id))
ORDER BY position DESC LIMIT $limit
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events to show. type: None for all. who: id of a user, visitor or session; or all."""

    type: EventType | None = None
    who: str = ""

    def among(self, events: pa.Table) -> pa.Table:
        """Return the rows that are wanted."""
        if self.type is not None:
            events = events.filter(pc.equal(events["type"], self.type.value))
        if self.who:
            of = [pc.equal(events[name], self.who) for name in _WHO]
            events = events.filter(pc.or_(pc.or_(of[0], of[1]), of[2]))
        return events


class EventHistory:
    """All events of a data folder, for one thread. Every method raises Unavailable."""

    def __init__(self, tail: LogTail, lake_folder: Path) -> None:
        self._tail = tail
        self._table = lake_folder / "events"

    def latest(self, wanted: Wanted, limit: int) -> list[Row]:
        """Return the newest events, at most `limit`, in the order of their positions."""
        found: list[Row] = []
        stop = self._tail.last_position()
        while (start := self._before(stop)) < stop and len(found) < limit:
            rows = self._in_log(start, stop, wanted)
            if self._tail.trimmed_through > start:  # trimmed meanwhile: the lake has all of it
                break
            found = rows[max(0, len(rows) - (limit - len(found))) :] + found
            stop = start
        return self._in_lake(Position(0), stop, wanted, limit - len(found)) + found

    def behind(self, after: Position, wanted: Wanted) -> tuple[list[Row], Position]:
        """Return the next events behind a position, in order, and up to where they go."""
        through = self._tail.end_of(after, RECORDS_A_STEP)
        rows = self._in_log(after, through, wanted)
        trimmed = self._tail.trimmed_through
        if trimmed > after:
            through = min(trimmed, Position(after + RECORDS_A_STEP))
            return self._in_lake(after, through, wanted, RECORDS_A_STEP), through
        return rows, through

    def _before(self, stop: Position) -> Position:
        return Position(max(self._tail.trimmed_through, stop - RECORDS_A_STEP))

    def _in_log(self, after: Position, through: Position, wanted: Wanted) -> list[Row]:
        events = event_columns(self._tail.events(after, through))
        return list(wanted.among(events).drop_columns(["day"]).to_pylist())

    def _in_lake(self, after: Position, through: Position, wanted: Wanted, limit: int) -> list[Row]:
        """Return the newest of the lake's events in (after, through]."""
        files = lake_files(self._table) if limit > 0 else []
        if not files:
            return []
        asked = {
            "after": after,
            "through": through,
            "type": wanted.type.value if wanted.type else "",
            "who": wanted.who,
            "limit": limit,
        }
        with said_as_lake_unavailable(), lake_engine(self._table.parent) as engine:
            view_of_files(engine, files)
            rows = engine.sql(_BETWEEN, params=asked).to_arrow_table()
        return list(rows.to_pylist())[::-1]


def lake_files(table: Path, first_day: date = date.min) -> list[str]:
    """Return the files of a table as it is now, from a day on; none where there is no table."""
    with said_as_lake_unavailable():
        found = DeltaTable.is_deltatable(str(table))
        return data_files(table, DeltaTable(table), first_day) if found else []


def view_of_files(engine: duckdb.DuckDBPyConnection, files: Sequence[str]) -> None:
    """Give an engine the events in these files, as the view `files`; they have no `day`."""
    engine.execute("SET TimeZone = 'UTC'")
    every: Any = engine.read_parquet(list(files), hive_partitioning=False, union_by_name=True)
    every.create_view("files")
