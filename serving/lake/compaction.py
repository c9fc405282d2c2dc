"""Compaction: the small files of a day become few, so that readers open one instead of sixty."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

from serving.lake.commits import COMPRESSED, NO_HOOKS, durable_commit

TARGET_BYTES = 128 << 20
"""Files of this size are left as they are: larger ones read no faster and are slow to rewrite."""
STEP_BYTES = 64 << 20
"""What one step rewrites at most, unless a single day is more."""
STEP_DAYS = 31


@dataclass(frozen=True, slots=True)
class Step:
    """Days that are compacted in one commit; no days: a table that has none, as a whole."""

    days: tuple[str, ...] = ()


def steps_of(path: Path) -> Sequence[Step]:
    """Return what there is to compact, day by day: where several files fit into one."""
    small = _small_files(DeltaTable(path))
    due = {day: sum(sizes) for day, sizes in small.items() if sum(sorted(sizes)[:2]) < TARGET_BYTES}
    if None in due:
        return [Step()]
    return list(_batched({day: size for day, size in sorted(due.items()) if day is not None}))


def compact(path: Path, step: Step) -> None:
    """Rewrite the files of some days as few; durable on return. The rows are the same.

    What each table says of how far it has come is kept, so nothing is drained into it twice.
    """
    chosen: Any = [("day", "in", list(step.days))] if step.days else None
    with durable_commit(path) as table:
        table.optimize.compact(
            partition_filters=chosen,
            target_size=TARGET_BYTES,
            max_concurrent_tasks=1,
            writer_properties=COMPRESSED,
            post_commithook_properties=NO_HOOKS,
        )


def _small_files(table: DeltaTable) -> dict[str | None, list[int]]:
    """Return, by day, the sizes of files below the target, where there are several."""
    files = pa.table(table.get_add_actions(flatten=True))
    sizes = files["size_bytes"].to_pylist()
    days = (
        [day.isoformat() for day in files["partition.day"].to_pylist()]
        if "partition.day" in files.column_names
        else [None] * len(sizes)
    )
    found: dict[str | None, list[int]] = defaultdict(list)
    for day, size in zip(days, sizes, strict=True):
        if size < TARGET_BYTES:
            found[day].append(size)
    return {day: small for day, small in found.items() if len(small) > 1}


def _batched(sizes: dict[str, int]) -> Iterator[Step]:
    """Yield the days, in order, in steps of bounded size."""
    days: list[str] = []
    total = 0
    for day, size in sizes.items():
        if days and (total + size > STEP_BYTES or len(days) == STEP_DAYS):
            yield Step(tuple(days))
            days, total = [], 0
        days.append(day)
        total += size
    if days:
        yield Step(tuple(days))
