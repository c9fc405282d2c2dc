"""Rows about customers leave a table for good: its files, its statistics and its past versions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from urllib.parse import unquote
from uuid import uuid4

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.transaction import AddAction, RemoveAction

from serving.disk import synced
from serving.erasure.gate import Erased
from serving.lake.commits import NO_HOOKS, durable_commit
from serving.lake.durable import checkpoints, commits, log_folder, make_checkpoint_durable
from serving.lake.erased_rows import id_columns, judged, without
from serving.lake.schema import NO_STATISTICS

_STEP_BYTES = 64 << 20
_STEP_FILES = 30
_ROWS_A_BATCH = 65_536
_TORN = "*.torn"


@dataclass(frozen=True, slots=True)
class _File:
    """A data file of the table. day: of its partition; empty where the table has none."""

    path: Path
    name: str
    size: int
    day: str


def erase_rows(table: Path, erased: Erased, removed: Counter[int]) -> Iterator[None]:
    """Take the rows of whoever is erased out of a table; yield after each step of bounded work.

    removed: gets the number of rows, by place of the erasure.

    Each step is durable, and what was cut off anywhere is finished by running it again: files
    that hold such rows are found wherever they lie, whether a version names them or not, and old
    files go at once. Others may add to the table between two steps. Raises OSError, or the
    engine's errors.
    """
    if not names_customers(table):
        return
    keep_no_statistics(table)
    checked: set[Path] = set()
    more = True
    while more:  # until one step has seen all that nobody had looked at: then nothing is left
        files, more = _next_files(table, checked)
        _erase_from(table, files, erased, removed)
        checked |= {file.path for file in files}
        yield
    forget_versions(table)
    yield


def names_customers(table: Path) -> bool:
    """Return whether this is a table with columns that name customers."""
    if not DeltaTable.is_deltatable(str(table)):
        return False
    return bool(id_columns(pa.schema(DeltaTable(table).schema().to_arrow())))


def keep_no_statistics(table: Path) -> None:
    """Let the table's log say from now on nothing of what its files hold."""
    held = DeltaTable(table).metadata().configuration
    if any(held.get(name) != value for name, value in NO_STATISTICS.items()):
        with durable_commit(table) as opened:
            opened.alter.set_table_properties(NO_STATISTICS)


def forget_versions(table: Path) -> None:
    """Delete all commits but the last, and what was moved aside, behind a durable checkpoint."""
    opened = DeltaTable(table)
    version = f"{opened.version():020}"
    if all(one.name[:20] < version for one in checkpoints(table)):
        opened.create_checkpoint()  # never over one that others may have to rest on
    make_checkpoint_durable(table)
    old = [one for one in (*commits(table), *checkpoints(table)) if one.name[:20] < version]
    for file in (*old, *log_folder(table).glob(_TORN)):
        file.unlink()
    synced(log_folder(table))


def _next_files(table: Path, checked: set[Path]) -> tuple[list[_File], bool]:
    """Return some files that were not looked at, named or not, and whether there are more."""
    found = sorted(
        path
        for path in table.rglob("*.parquet")
        if path.parent.name != "_delta_log" and path not in checked
    )
    files, total = list[_File](), 0
    for path in islice(found, _STEP_FILES):
        size = path.stat().st_size
        if files and total + size > _STEP_BYTES:
            break
        day = path.parent.name.partition("=")[2] if path.parent != table else ""
        files.append(_File(path, path.relative_to(table).as_posix(), size, day))
        total += size
    return files, len(files) < len(found)


def _erase_from(table: Path, files: Sequence[_File], erased: Erased, removed: Counter[int]) -> None:
    """Put files without the rows in the place of those that hold some, in one durable commit.

    Files that nothing names and nobody can read go, too.
    """
    named = _named(table)
    torn = [file for file in files if file.name not in named and _is_torn(file.path)]
    whole = (file for file in files if file not in torn)
    holding = {file: counts for file in whole if (counts := _rows_in(file.path, erased))}
    live = [file for file in holding if file.name in named]
    if live:
        changes: list[AddAction | RemoveAction] = []
        for file in live:
            removed.update(holding[file])
            changes += [*_rewritten(table, file, erased), _removal(file)]
        with durable_commit(table) as opened:
            opened.create_write_transaction(
                changes,
                mode="append",
                schema=opened.schema(),
                partition_by=["day"] if live[0].day else None,
                post_commithook_properties=NO_HOOKS,
            )
    for file in (*holding, *torn):
        file.path.unlink()
    for folder in {file.path.parent for file in (*holding, *torn)}:
        synced(folder)


def _is_torn(path: Path) -> bool:
    """Return whether a file that no version names cannot be read: a power cut left it so.

    Nobody can tell whom it names, and nobody misses it.
    """
    try:
        with pq.ParquetFile(path) as file:
            for _ in file.iter_batches(_ROWS_A_BATCH):
                pass
    except (pa.ArrowException, OSError):
        return True
    return False


def _rows_in(path: Path, erased: Erased) -> Mapping[int, int]:
    """Return how many rows of a file an erasure changes, by its place."""
    found: Counter[int] = Counter()
    with pq.ParquetFile(path) as file:
        columns = id_columns(file.schema_arrow)
        for batch in file.iter_batches(_ROWS_A_BATCH, columns=columns) if columns else ():
            places = judged(batch, erased).places
            found.update(places[places >= 0].tolist())
    return found


def _named(table: Path) -> set[str]:
    """Return the names of the files that the present version is made of."""
    found = pa.table(DeltaTable(table).get_add_actions())["path"].to_pylist()
    return {unquote(name) for name in found}


def _rewritten(table: Path, file: _File, erased: Erased) -> Iterator[AddAction]:
    """Write the rows that stay into a new file, and yield it; nothing where none stays."""
    path = file.path.with_name(f"part-{uuid4()}.zstd.parquet")
    rows = 0
    with pq.ParquetFile(file.path) as old:
        writer = pq.ParquetWriter(path, old.schema_arrow, compression="zstd", compression_level=3)
        with writer:
            for batch in old.iter_batches(_ROWS_A_BATCH):
                kept = without(batch, judged(batch, erased))
                rows += kept.num_rows
                writer.write_batch(kept)
    if not rows:
        path.unlink()
        return
    found = path.stat()
    yield AddAction(
        path=path.relative_to(table).as_posix(),
        size=found.st_size,
        partition_values=_partition(file),
        modification_time=found.st_mtime_ns // 1_000_000,
        data_change=True,
        stats=orjson.dumps({"numRecords": rows}).decode(),
    )


def _removal(file: _File) -> RemoveAction:
    now = file.path.stat().st_mtime_ns // 1_000_000
    return RemoveAction(file.name, True, now, file.size, _partition(file))


def _partition(file: _File) -> dict[str, str | None]:
    return {"day": file.day} if file.day else {}
