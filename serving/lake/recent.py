"""Who was seen last, by log and lake together."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from serving.lake import schema
from serving.lake.columns import event_columns
from serving.lake.engine import lake_engine
from serving.lake.history import lake_files
from serving.lake.lake import said_as_lake_unavailable
from serving.log.tail import LogTail

_NEWEST = """
SELECT user_id FROM (FROM waiting UNION ALL BY NAME FROM drained)
WHERE user_id <> '' AND type <> 'email_sent' GROUP BY user_id
ORDER BY max(CASE WHEN epoch_us(time) - epoch_us(received) > 86_400_000_000
                  THEN epoch_us(received) ELSE epoch_us(time) END) DESC, user_id LIMIT ?
"""


def recent_customers(log_file: Path, lake_folder: Path, limit: int) -> list[str]:
    """Return the users with the newest events, newest first, at most `limit`.

    To be sent an e-mail is no event of theirs. Raises Unavailable when log or lake cannot be read.
    """
    waiting = _waiting(log_file) if log_file.exists() else schema.EVENTS.empty_table()
    with said_as_lake_unavailable(), lake_engine(lake_folder) as engine:
        # The log first: what is drained meanwhile is in the lake by the time that is read.
        engine.register("waiting", waiting)
        _make_drained(engine, lake_folder / "events")
        return [user for (user,) in engine.execute(_NEWEST, [limit]).fetchall()]


def _waiting(log_file: Path) -> pa.Table:
    """Return the events that are not in the lake yet."""
    with closing(LogTail(log_file)) as tail:
        after = tail.drained_through
        return event_columns(tail.events(after, tail.last_position()))


def _make_drained(engine: duckdb.DuckDBPyConnection, table: Path) -> None:
    """Let the engine know the lake's events as `drained`."""
    if files := lake_files(table):
        every: Any = engine.read_parquet(files, hive_partitioning=False)  # stubs know of one file
        every.create_view("drained")
    else:
        engine.register("drained", schema.EVENTS.empty_table())
