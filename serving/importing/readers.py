"""Files in batches of rows, with bounded memory: CSV, JSON Lines and Parquet."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.parquet as pq

from recsys.errors import InvalidInput, NotFound

BATCH_ROWS = 50_000
_BLOCK_BYTES = 8 << 20
_DELIMITERS = ",;\t|"
FORMATS = ".csv, .tsv, .jsonl, .ndjson (each also with .gz) or .parquet"


@dataclass(frozen=True, slots=True)
class Broken:
    """A line that cannot be read as a row at all."""

    line: int
    came: str
    wanted: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of a file, in order.

    rows: as they came, one column each.
    lines: of each row, its line in a text file or its row number in Parquet, from 1.
    broken: lines met on the way that are no rows.
    """

    rows: pa.RecordBatch
    lines: Sequence[int]
    broken: Sequence[Broken] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A file about to be read: its columns, how many rows it has (None: not known), and them."""

    path: Path
    columns: tuple[str, ...]
    n_rows: int | None
    batches: Callable[[], Iterator[Batch]]


def open_table(path: Path) -> Table:
    """Return the rows of a file, whose format its name tells.

    Raises NotFound where there is no file, InvalidInput where it is of no known format.
    """
    if not path.is_file():
        raise NotFound(
            f"there is no file {path}. Give the path of an export of your shop: {FORMATS}",
            reason="FILE_NOT_FOUND",
        )
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else path.suffix.lower()
    openers = {
        ".csv": _open_csv,
        ".tsv": _open_csv,
        ".jsonl": _open_json_lines,
        ".ndjson": _open_json_lines,
        ".parquet": _open_parquet,
    }
    if kind not in openers:
        raise InvalidInput(str(path), path.suffix or "no suffix", f"a file named {FORMATS}")
    with said_as_unreadable(path):
        return openers[kind](path)


@contextmanager
def said_as_unreadable(path: Path) -> Iterator[None]:
    """Raise InvalidInput for whatever in the file cannot be read inside the block."""
    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError, gzip.BadGzipFile, EOFError) as error:
        raise InvalidInput(
            str(path), str(error), f"a whole file of plain columns in UTF-8: {FORMATS}"
        ) from error


def _open_parquet(path: Path) -> Table:
    file = pq.ParquetFile(path)

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
    lines = count(2)

    def keep(row: pv.InvalidRow) -> str:
        wanted = f"{row.expected_columns} values, as in the header; got {row.actual_columns}"
        broken.append(Broken(row.number or 0, row.text or "", wanted))
        return "skip"

    reader = pv.open_csv(
        path,
        read_options=pv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False),
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
        skipped = {one.line for one in broken}
        numbered = (line for line in lines if line not in skipped)
        yield Batch(rows, list(islice(numbered, rows.num_rows)), _taken(broken))
    if broken:
        yield Batch(pa.RecordBatch.from_pylist([], reader.schema), (), _taken(broken))


def _taken(broken: list[Broken]) -> list[Broken]:
    """Return what is in the list, and empty it."""
    taken = broken[:]
    broken.clear()
    return taken


def _open_json_lines(path: Path) -> Table:
    """Return the table of a JSON Lines file; its columns are the keys of the first batch."""
    with _bytes_of(path) as file:
        first = _json_batch(1, list(islice(file, BATCH_ROWS)), ())
    names = tuple(first.rows.schema.names)
    return Table(path, names, None, lambda: _json_batches(path, names))


def _json_batches(path: Path, names: Sequence[str]) -> Iterator[Batch]:
    start = 1
    with _bytes_of(path) as file:
        while lines := list(islice(file, BATCH_ROWS)):
            yield _json_batch(start, lines, names)
            start += len(lines)


def _json_batch(start: int, lines: Sequence[bytes], names: Sequence[str]) -> Batch:
    """Return the objects among the lines as columns: these names, or all keys where none."""
    numbers: list[int] = []
    rows: list[dict[str, Any]] = []
    broken: list[Broken] = []
    for number, line in enumerate(lines, start=start):
        found = _json_object(line)
        if found is not None:
            numbers.append(number)
            rows.append(found)
        elif line.strip():
            text = line.decode(errors="replace").rstrip("\r\n")
            broken.append(Broken(number, text, "one JSON object"))
    keys = names or list(dict.fromkeys(key for row in rows for key in row))
    columns = [_json_column([row.get(key) for row in rows]) for key in keys]
    return Batch(pa.RecordBatch.from_arrays(columns, list(keys)), numbers, broken)


def _json_object(line: bytes) -> dict[str, Any] | None:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _json_column(values: list[Any]) -> pa.Array:
    """Return values as a column; those of mixed or nested kinds as texts."""
    try:
        column = pa.array(values)
        if not pa.types.is_nested(column.type):
            return column
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        pass
    plain = [value if value is None or isinstance(value, str) else _json(value) for value in values]
    return pa.array(plain, pa.string())


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


def _bytes_of(path: Path) -> gzip.GzipFile | io.BufferedReader:
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")


def _text_of(path: Path) -> io.TextIOWrapper:
    return io.TextIOWrapper(_bytes_of(path), encoding="utf-8-sig", newline="")
