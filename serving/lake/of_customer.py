"""What log and lake hold of one customer, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from recsys.customers import Identifier, IdKind
from recsys.events import Position
from serving.lake.columns import event_columns
from serving.lake.engine import lake_engine
from serving.lake.history import Row, lake_files, view_of_files
from serving.lake.lake import said_as_lake_unavailable
from serving.log.tail import LogTail

_ROWS_A_BATCH = 4_096
_RECORDS_A_STEP = 20_000
_OWNED = """
FROM files WHERE position <= $through AND (
  list_contains($users, user_id)
  OR (user_id = '' AND list_contains($visitors, visitor_id))
  OR (user_id = '' AND visitor_id = '' AND list_contains($sessions, session_id)))
ORDER BY position
"""
_COUNTED = """
FROM files WHERE (kind = 'user' AND list_contains($users, customer_id))
  OR (kind = 'visitor' AND list_contains($visitors, customer_id))
  OR (kind = 'session' AND list_contains($sessions, customer_id))
ORDER BY kind, customer_id
"""


def events_of(tail: LogTail, lake: Path, identifiers: Sequence[Identifier]) -> Iterator[Row]:
    """Yield the events that count for these identifiers, in the order of their positions.

    Of log and lake as one; what comes in meanwhile is left out. Raises Unavailable.
    """
    drained, last = tail.drained_through, tail.last_position()
    asked = {**_asked(identifiers), "through": drained}
    waiting = list(_in_log(tail, drained, last, identifiers))  # first: it may be drained meanwhile
    yield from _answered(lake / "events", _OWNED, asked)
    yield from waiting


def customer_rows(lake: Path, identifiers: Sequence[Identifier]) -> Iterator[Row]:
    """Yield the rows of the customers table for these identifiers. Raises Unavailable."""
    return _answered(lake / "customers", _COUNTED, _asked(identifiers))


def _answered(table: Path, sql: str, asked: dict[str, Any]) -> Iterator[Row]:
    files = lake_files(table)
    if not files:
        return
    with said_as_lake_unavailable(), lake_engine(table.parent) as engine:
        view_of_files(engine, files)
        for batch in engine.sql(sql, params=asked).to_arrow_reader(_ROWS_A_BATCH):
            yield from batch.to_pylist()


def _in_log(
    tail: LogTail, after: Position, last: Position, identifiers: Sequence[Identifier]
) -> Iterator[Row]:
    while after < last:
        through = min(tail.end_of(after, _RECORDS_A_STEP), last)
        rows = event_columns(tail.events(after, through))
        yield from rows.filter(_owned(rows, identifiers)).drop_columns(["day"]).to_pylist()
        after = through


def _owned(rows: pa.Table, identifiers: Sequence[Identifier]) -> pa.ChunkedArray:
    """Return which events count for one of these identifiers."""
    asked = _asked(identifiers)
    user, visitor, session = (
        pc.is_in(rows[name], pa.array(asked[of], pa.string()))
        for name, of in (
            ("user_id", "users"),
            ("visitor_id", "visitors"),
            ("session_id", "sessions"),
        )
    )
    no_user = pc.equal(rows["user_id"], "")
    nobody = pc.and_(no_user, pc.equal(rows["visitor_id"], ""))
    return pc.or_(user, pc.or_(pc.and_(no_user, visitor), pc.and_(nobody, session)))


def _asked(identifiers: Sequence[Identifier]) -> dict[str, list[str]]:
    return {
        name: [one.value for one in identifiers if one.kind is kind]
        for name, kind in (
            ("users", IdKind.USER),
            ("visitors", IdKind.VISITOR),
            ("sessions", IdKind.SESSION),
        )
    }
