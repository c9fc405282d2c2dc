"""Events read back from the lake: for states that must be made again, and for audiences."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from recsys.arrays import Kinds
from recsys.events import EVENT_CODES, Position
from recsys.state import ENTRY, Entries
from serving.log.lake import said_as_unavailable
from serving.state.changes import PackedEvents
from serving.state.keys import IdKind

_COLUMNS = (
    "position", "time", "type", "item_row", "quantity", "user_id", "visitor_id", "session_id",
)  # fmt: skip
_ROWS_A_STEP = 262_144
_KINDS = tuple(IdKind)


def events_between(lake_folder: Path, after: Position, through: Position) -> Iterator[PackedEvents]:
    """Yield the lake's events with after < position <= through, in steps, in no certain order.

    Raises Unavailable when the lake cannot be read.
    """
    with said_as_unavailable():
        table = lake_folder / "events"
        if not DeltaTable.is_deltatable(str(table)):
            return
        behind = (pc.field("position") > after) & (pc.field("position") <= through)
        dataset = DeltaTable(table).to_pyarrow_dataset()
        batches = dataset.to_batches(columns=list(_COLUMNS), filter=behind, batch_size=_ROWS_A_STEP)
        for rows in _gathered(batches):
            yield _packed(rows)


def recent_customers(lake_folder: Path, limit: int) -> list[str]:
    """Return the users with the newest events, newest first, at most `limit`."""
    with said_as_unavailable():
        table = lake_folder / "events"
        if not DeltaTable.is_deltatable(str(table)):
            return []
        known = pc.field("user_id") != ""
        rows = DeltaTable(table).to_pyarrow_dataset().to_table(["user_id", "time"], filter=known)
        newest = rows.group_by("user_id").aggregate([("time", "max")])
        order = pc.select_k_unstable(
            newest, limit, [("time_max", "descending"), ("user_id", "ascending")]
        )
        return list(newest["user_id"].take(order).to_pylist())


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


def _packed(rows: pa.Table) -> PackedEvents:
    owners = _owners(rows).combine_chunks().dictionary_encode()
    if isinstance(owners, pa.ChunkedArray):
        owners = owners.combine_chunks()
    names = [(_KINDS[int(name[0])], name[1:]) for name in owners.dictionary.to_pylist()]
    groups = owners.indices.to_numpy().astype(np.int32)
    return PackedEvents(names, groups, _entries(rows))


def _owners(rows: pa.Table) -> pa.ChunkedArray:
    """Return whom each event counts for: one digit for the kind of id, then the id."""
    user, visitor, session = (rows[f"{kind.value}_id"] for kind in _KINDS)
    of_user, of_visitor = pc.not_equal(user, ""), pc.not_equal(visitor, "")
    kind = pc.if_else(of_user, "0", pc.if_else(of_visitor, "1", "2"))
    owner = pc.if_else(of_user, user, pc.if_else(of_visitor, visitor, session))
    return pc.binary_join_element_wise(kind, owner, "")


def _entries(rows: pa.Table) -> Entries:
    packed = np.empty(rows.num_rows, dtype=ENTRY)
    packed["time"] = rows["time"].cast(pa.int64()).to_numpy() // 1_000_000
    packed["position"] = rows["position"].to_numpy()
    packed["row"] = rows["item_row"].to_numpy()
    packed["kind"] = _codes(rows["type"])
    packed["quantity"] = np.clip(np.rint(rows["quantity"].to_numpy()), 1, 255)
    return packed


def _codes(types: pa.ChunkedArray) -> Kinds:
    """Return the code of each event type."""
    names = pa.array([kind.value for kind in EVENT_CODES])
    codes: Kinds = pc.index_in(types, names).to_numpy().astype(np.uint8)
    return codes
