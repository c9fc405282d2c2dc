"""Rows as files of a partitioned table, one day after the other, in memory for one day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.transaction import AddAction, RemoveAction

_COMPRESSION = "zstd"
_LEVEL = 3


def added_by_day(table: Path, rows: pa.Table) -> list[AddAction | RemoveAction]:
    """Write rows into a file for each of their days, and return what a commit says of the files.

    The engine's own writer keeps one open for each day there is, half a megabyte each; a file of
    orders may hold ten years of days in no order.
    """
    return [_added(table, day, part) for day, part in _days_of(rows)]


def _days_of(rows: pa.Table) -> Iterator[tuple[date, pa.Table]]:
    """Yield each day and its rows in their order, without the column `day`."""
    days = rows["day"].cast(pa.int32()).to_numpy()
    order = np.argsort(days, kind="stable")
    _, first = np.unique(days[order], return_index=True)
    columns = rows.drop_columns(["day"])
    for start, stop in pairwise([*first.tolist(), len(order)]):
        places = order[start:stop]
        yield rows["day"][int(places[0])].as_py(), columns.take(pa.array(places.tolist()))


def _added(table: Path, day: date, rows: pa.Table) -> AddAction:
    name = f"day={day.isoformat()}/part-{uuid4()}.{_COMPRESSION}.parquet"
    file = table / name
    file.parent.mkdir(exist_ok=True)
    pq.write_table(rows, file, compression=_COMPRESSION, compression_level=_LEVEL)
    found = file.stat()
    return AddAction(
        path=name,
        size=found.st_size,
        partition_values={"day": day.isoformat()},
        modification_time=found.st_mtime_ns // 1_000_000,
        data_change=True,
        stats=orjson.dumps({"numRecords": rows.num_rows}).decode(),
    )
