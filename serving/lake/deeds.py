"""Deeds read from events: one query for those of the lake and for those of the log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.events import Position
from recsys.models.trends import DEEDS
from serving.lake import schema
from serving.lake.engine import lake_engine
from serving.lake.history import lake_files, view_of_files
from serving.lake.lake import said_as_lake_unavailable
from serving.trends.tally import Deeds, Sums

_WEIGHTS = pa.table({"type": [*map(str, DEEDS)], "weight": pa.array([*DEEDS.values()], pa.int32())})

COUNTED = """
WITH done AS (
  SELECT weight, item_row, coalesce(market, '') AS market,
    CASE WHEN user_id <> '' THEN '0' || user_id WHEN visitor_id <> '' THEN '1' || visitor_id
         ELSE '2' || session_id END AS who,
    -- a time more than a day ahead of its receipt comes from a clock that was wrong
    CASE WHEN epoch_us(time) - epoch_us(received) > 86_400_000_000 THEN epoch_us(received)
         ELSE epoch_us(time) END // 3_600_000_000 AS hour
  FROM (FROM waiting UNION ALL BY NAME FROM drained WHERE position > $after)
  JOIN weights USING (type) WHERE item_row >= 0 AND NOT robot
),
once AS (
  SELECT who, item_row, (hour // 24)::INT AS day,
    -- of what is as strong, and of one hour, that of the market named last, in whatever order
    max({best: (weight * 24 + hour % 24)::INT, market: market}) AS most
  FROM done WHERE hour >= 24 * $first_day GROUP BY ALL
)
SELECT
  CASE WHEN day >= $first_open THEN hash(who, item_row, day) ELSE 0::UBIGINT END AS pair,
  most.market AS market, item_row, day,
  sum(CASE WHEN day >= $first_open THEN most.best ELSE most.best // 24 END)::BIGINT AS best
FROM once GROUP BY ALL ORDER BY pair
"""
"""What each asker did with each item on each day, or the sums over them before the first open day.

Events that call themselves a robot's are left out. Whoever comes back counts once a day with an
item, by the strongest of what they did and in the market of that, whatever other markets they name,
and so does an event that stands in both: nobody makes a trend alone.
"""


@dataclass(frozen=True, slots=True)
class Span:
    """From which day since 1970 on to count, and of the lake behind which position.

    first_open: from which day on to tell askers apart.
    """

    first_day: int
    first_open: int
    after: Position


class DeedsReader:
    """Reads deeds for one thread; another may stop it. Every method raises Unavailable."""

    def __init__(self, lake_folder: Path) -> None:
        self._lake_folder = lake_folder
        self._engine: duckdb.DuckDBPyConnection | None = None
        self._stopped = False

    def in_lake(self, span: Span, waiting: pa.Table | None = None) -> tuple[Sums, Deeds]:
        """Return what the lake's events come to, with those that wait for it: rows of `EVENTS`."""
        beside = schema.EVENTS.empty_table() if waiting is None else waiting
        files = lake_files(self._lake_folder / "events", _date_of(span.first_day))
        with self._opened() as engine:
            if files:
                view_of_files(engine, files)
                engine.execute("CREATE VIEW drained AS FROM files")
            else:
                engine.register("drained", schema.EVENTS.empty_table())
            return _counted(engine, beside, span)

    def of(self, waiting: pa.Table, span: Span) -> tuple[Sums, Deeds]:
        """Return what these rows of `schema.EVENTS` come to."""
        with self._opened() as engine:
            engine.register("drained", schema.EVENTS.empty_table())
            return _counted(engine, waiting, span)

    def stop(self) -> None:
        """End a query under way, and let there be no other."""
        self._stopped = True
        if engine := self._engine:
            engine.interrupt()

    @contextmanager
    def _opened(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with said_as_lake_unavailable(), lake_engine(self._lake_folder, threads=1) as engine:
            self._engine = engine
            try:
                if self._stopped:
                    raise duckdb.InterruptException("it was stopped")
                yield engine
            finally:
                self._engine = None


def _counted(
    engine: duckdb.DuckDBPyConnection, waiting: pa.Table, span: Span
) -> tuple[Sums, Deeds]:
    engine.execute("SET TimeZone = 'UTC'")
    engine.register("waiting", waiting)
    engine.register("weights", _WEIGHTS)
    found = engine.sql(COUNTED, params=asdict(span)).to_arrow_table()
    return _parted(found, span)


def _parted(found: pa.Table, span: Span) -> tuple[Sums, Deeds]:
    """Return the sums of the days that are over, and the deeds of those that are open."""
    coded = found["market"].combine_chunks().dictionary_encode()
    names = tuple(coded.dictionary.to_pylist())
    markets = coded.indices.to_numpy().astype(np.int32)
    rows, days, best = (
        found[name].cast(pa.int64()).to_numpy().astype(np.int32)
        for name in ("item_row", "day", "best")
    )
    is_open = days >= span.first_open
    over = ~is_open
    sums = Sums(names, markets[over], rows[over], days[over], best[over].astype(np.float64))
    pairs = found["pair"].to_numpy().astype(np.uint64)
    return sums, Deeds(
        names, pairs[is_open], markets[is_open], rows[is_open], days[is_open], best[is_open]
    )


def _date_of(day: int) -> Any:
    return pc.cast(pa.scalar(day, pa.int32()), pa.date32()).as_py()
