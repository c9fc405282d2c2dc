"""Events read back from log and lake, for states that must be made again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from pyarrow.dataset import Dataset, dataset

from recsys.arrays import Kinds, Scores
from recsys.customers import KINDS_OF_EVENTS
from recsys.events import EVENT_CODES, Position
from recsys.state import Entries, packed, ties_of
from serving.lake import schema
from serving.lake.columns import event_columns
from serving.lake.files import data_files
from serving.lake.lake import said_as_lake_unavailable
from serving.log.tail import LogTail
from serving.state.changes import REMEMBERED, PackedEvents

FAR_BEHIND = 50_000
"""Records behind which the lake, read by columns, is much faster than the log."""

COLUMNS = (
    "time", "type", "item_row", "quantity", "rating", "event_id",
    "user_id", "visitor_id", "session_id",
)  # fmt: skip
"""What `packed_events` reads of the lake's events."""

_RECORDS_A_STEP = 20_000
_ROWS_A_STEP = 262_144
_REMEMBERED = sorted(kind.value for kind in REMEMBERED)


@dataclass(frozen=True, slots=True)
class Step:
    """Events that follow a position.

    through: all events up to here are in this step or in earlier ones.
    """

    events: PackedEvents
    through: Position


def events_behind(
    tail: LogTail, lake_folder: Path, after: Position, until: Position | None = None
) -> Iterator[Step]:
    """Yield every event that states remember behind a position, up to another or the end.

    From the lake where the log no longer has them, or would take long; then from the log. An
    event may come twice. Raises Unavailable when log or lake cannot be read.
    """
    last = tail.last_position() if until is None else until
    while after < last:
        drained = min(tail.drained_through, last)
        if after < max(tail.trimmed_through, drained - FAR_BEHIND):
            for events in _events_between(lake_folder, after, drained):
                yield Step(events, after)
            after = drained
            yield Step(PackedEvents.of([]), after)
        through = min(tail.end_of(after, _RECORDS_A_STEP), last)
        if through == after:
            return
        rows = tail.events(after, through)
        if tail.trimmed_through <= after:  # else it was trimmed before it was read
            yield Step(packed_events(event_columns(rows)), through)
            after = through


def packed_events(rows: pa.Table) -> PackedEvents:
    """Return those of the lake's event rows that states remember."""
    rows = rows.filter(pc.is_in(rows["type"], pa.array(_REMEMBERED)))
    owners = _owners(rows).combine_chunks().dictionary_encode()
    if isinstance(owners, pa.ChunkedArray):
        owners = owners.combine_chunks()
    names = [(KINDS_OF_EVENTS[int(name[0])], name[1:]) for name in owners.dictionary.to_pylist()]
    groups = owners.indices.to_numpy().astype(np.int32)
    return PackedEvents(names, groups, _entries(rows))


def _events_between(
    lake_folder: Path, after: Position, through: Position
) -> Iterator[PackedEvents]:
    """Yield the lake's events with after < position <= through, in steps, in no certain order."""
    with said_as_lake_unavailable():
        table = lake_folder / "events"
        if not DeltaTable.is_deltatable(str(table)):
            return
        behind = (pc.field("position") > after) & (pc.field("position") <= through)
        wanted = behind & pc.field("type").isin(_REMEMBERED)
        batches = event_files(table).to_batches(
            columns=list(COLUMNS), filter=wanted, batch_size=_ROWS_A_STEP
        )
        for rows in _gathered(batches):
            yield packed_events(rows)


def event_files(table: Path) -> Dataset:
    """Return the files of the events table's present version, without the column `day`.

    Read by Arrow itself: the engine's own way through Python can abort a process that ends.
    """
    columns = schema.EVENTS.remove(schema.EVENTS.get_field_index("day"))
    files = data_files(table, DeltaTable(table))
    return dataset(files, schema=columns, format="parquet")


def _gathered(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Yield the rows of small batches together: a day of the lake may hold few."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(one.num_rows for one in waiting) >= _ROWS_A_STEP:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if sum(one.num_rows for one in waiting):
        yield pa.Table.from_batches(waiting)


def _owners(rows: pa.Table) -> pa.ChunkedArray:
    """Return whom each event counts for: one digit for the kind of id, then the id."""
    user, visitor, session = (rows[f"{kind.value}_id"] for kind in KINDS_OF_EVENTS)
    of_user, of_visitor = pc.not_equal(user, ""), pc.not_equal(visitor, "")
    kind = pc.if_else(of_user, "0", pc.if_else(of_visitor, "1", "2"))
    owner = pc.if_else(of_user, user, pc.if_else(of_visitor, visitor, session))
    return pc.binary_join_element_wise(kind, owner, "")


def _entries(rows: pa.Table) -> Entries:
    times = rows["time"].cast(pa.int64()).to_numpy()
    return packed(
        times // 1_000_000,
        ties_of(times, rows["event_id"].to_pylist()),
        rows["item_row"].to_numpy(),
        _codes(rows["type"]),
        _quantities(rows),
    )


def _codes(types: pa.ChunkedArray) -> Kinds:
    """Return the code of each event type."""
    names = pa.array([kind.value for kind in EVENT_CODES])
    codes: Kinds = pc.index_in(types, names).to_numpy().astype(np.uint8)
    return codes


def _quantities(rows: pa.Table) -> Scores:
    """Return the number that each entry remembers: the rating of a rating, else pieces."""
    numbers: Scores = pc.coalesce(rows["rating"], rows["quantity"]).to_numpy()
    return numbers.astype(np.float32)
