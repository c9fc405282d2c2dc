"""JSON files, a bounded piece at a time: JSON Lines, an array of objects, or objects in a row."""

from __future__ import annotations

import gzip
import io
import json
import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Self, TextIO, cast

import numpy as np
import orjson
import pyarrow as pa

from recsys.errors import InvalidInput
from serving.importing.tables import (
    BATCH_ROWS,
    BLOCK_BYTES,
    REJECTS,
    Batch,
    Broken,
    Table,
    kind_of,
)
from serving.intake import may_be_id

_BOM = b"\xef\xbb\xbf"
_MOST_VALUE = 16 << 20
_CHUNK = 1 << 20
_BETWEEN = re.compile(r"[\s,]*")
_MOST_SHOWN = 64
_DECODER = json.JSONDecoder()
_PLAIN = ".json"
_MEMBER = r'"[^"]*"\s*:\s*(?:"[^"]*"|[-+.\w]+)\s*'
_CLOSING = re.compile(rf"\]\s*(?:,\s*{_MEMBER})*\}}")


@dataclass(slots=True)
class Documents:
    """Some JSON objects of a file, in order.

    found, lines: each object, and its line or its place in an array, from 1.
    broken: what was met on the way and is no object.
    n_bytes: how long all of it is.
    """

    found: list[dict[str, Any]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    n_bytes: int = 0

    def take(self, line: int, text: bytes) -> None:
        """Add one JSON text."""
        self.n_bytes += len(text)
        value = _object(text)
        if value is not None:
            self.found.append(value)
            self.lines.append(line)
        elif text.strip():
            came = text.decode(errors="replace").rstrip("\r\n")
            self.broken.append(Broken(line, came, "one JSON object"))

    @property
    def is_full(self) -> bool:
        """Whether the next object belongs to the next batch."""
        return len(self.found) + len(self.broken) >= BATCH_ROWS or self.n_bytes >= BLOCK_BYTES


@dataclass(slots=True)
class _Listing:
    """Finds the way into the list of an object too large to be held, and out of it."""

    opening: re.Pattern[str] | None
    is_inside: bool = False

    @classmethod
    def of(cls, names: Sequence[str]) -> Self:
        """Return what finds the lists of these names."""
        listed = "|".join(map(re.escape, names))
        pattern = rf'\{{\s*(?:{_MEMBER},\s*)*"(?:{listed})"\s*:\s*\['
        return cls(re.compile(pattern) if names else None)

    def passed(self, buffer: str, start: int, *, is_full: bool) -> int | None:
        """Return where to read on behind the beginning or the end of a list; None for neither."""
        if self.is_inside:
            found = _CLOSING.match(buffer, start)
        else:
            found = self.opening.match(buffer, start) if self.opening and is_full else None
        if found is None:
            return None
        self.is_inside = not self.is_inside
        return found.end()


def is_json(kind: str) -> bool:
    """Return whether files with this suffix hold JSON."""
    return kind in (_PLAIN, ".jsonl", ".ndjson")


def document_batches(path: Path, lists: Sequence[str] = ()) -> Generator[Documents, None, None]:
    """Yield the objects of a JSON file in batches of bounded size.

    lists: of an object too large to be held, what stands in its list of one of these names.
    Raises InvalidInput where the file breaks off, when all that stands before that is yielded.
    """
    batch = Documents()
    broken: InvalidInput | None = None
    texts = _texts(path, lists)
    while broken is None:
        try:
            line, text = next(texts)
        except StopIteration:
            break
        except InvalidInput as error:
            broken = error
            continue
        batch.take(line, text)
        if batch.is_full:
            yield batch
            batch = Documents()
    yield batch
    if broken is not None:
        raise broken


def row_batches(path: Path, lists: Sequence[str] = ()) -> Generator[Documents, None, None]:
    """Yield what a JSON file has to import, as `document_batches` does.

    Of a file of rejected rows that is the rows, mended by now, with the lines that they had: an
    id made of row and line is the same when the file they came from is mended instead.
    """
    rejects = path.name.endswith((REJECTS, f"{REJECTS}.gz"))
    for documents in document_batches(path, lists):
        yield _rows_of(documents) if rejects else documents


def _rows_of(rejects: Documents) -> Documents:
    found = Documents(broken=rejects.broken, n_bytes=rejects.n_bytes)
    for line, reject in zip(rejects.lines, rejects.found, strict=True):
        row, was = reject.get("row"), reject.get("line")
        if isinstance(row, dict) and isinstance(was, int):
            found.found.append(row)
            found.lines.append(was)
        else:
            came = row if isinstance(row, str) else _json(row)
            found.broken.append(Broken(line, came, "a JSON object as `row`, and its `line`"))
    return found


def open_json(path: Path) -> Table:
    """Return the table of a JSON file; its columns are the keys of the first batch."""
    with closing(row_batches(path)) as batches:
        first = _batch(next(batches), ())
    names = tuple(first.rows.schema.names)
    return Table(path, names, None, lambda: _batches(path, names))


def bytes_of(path: Path) -> BinaryIO:
    """Return the open file, unpacked where it is a .gz."""
    if path.suffix.lower() == ".gz":
        return cast(BinaryIO, gzip.open(path, "rb"))
    return path.open("rb")


def _batches(path: Path, names: Sequence[str]) -> Iterator[Batch]:
    for documents in row_batches(path):
        yield _batch(documents, names)


def _batch(documents: Documents, names: Sequence[str]) -> Batch:
    """Return the objects as columns: these names, or all keys where none."""
    rows = documents.found
    keys = names or list(dict.fromkeys(key for row in rows for key in row))
    columns, no_text = [], {}
    for key in keys:
        values = [row.get(key) for row in rows]
        columns.append(_column(values))
        if not _is_plain(columns[-1], values):
            no_text[key] = np.array([not may_be_id(value) for value in values])
    table = pa.RecordBatch.from_arrays(columns, list(keys))
    return Batch(table, documents.lines, documents.broken, no_text)


def _texts(path: Path, lists: Sequence[str]) -> Iterator[tuple[int, bytes]]:
    """Yield each JSON text of a file with its line, or its place where lines mean nothing."""
    with bytes_of(path) as file:
        if kind_of(path) in (".jsonl", ".ndjson"):
            yield from _lines(file)
            return
        first = file.readline(_MOST_VALUE)
    with bytes_of(path) as file:
        if _object(first.removeprefix(_BOM)) is not None:
            yield from _lines(file)
        else:
            with io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape") as text:
                yield from enumerate(_values(path, text, _Listing.of(lists)), start=1)


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield each line with its number; of one beyond all measure, the beginning."""
    number = 0
    while line := file.readline(_MOST_VALUE):
        number += 1
        yield number, line.removeprefix(_BOM) if number == 1 else line
        while len(line) == _MOST_VALUE and not line.endswith(b"\n"):
            line = file.readline(_MOST_VALUE)


def _values(path: Path, text: TextIO, listing: _Listing) -> Iterator[bytes]:
    """Yield the text of each value of an array, or of values one after the other."""
    buffer = text.read(_CHUNK).lstrip()
    closing = "]" if buffer.startswith("[") else ""
    start = len(closing)
    while True:
        start = _BETWEEN.match(buffer, start).end()  # type: ignore[union-attr]  # always matches
        end = _end_of_value(buffer, start)
        if end is not None:
            yield buffer[start:end].encode("utf-8", "surrogateescape")
            start = end
            continue
        is_full = len(buffer) - start >= _MOST_VALUE
        inside = listing.passed(buffer, start, is_full=is_full)
        if inside is not None:
            start = inside
            continue
        more = "" if is_full else text.read(_CHUNK)
        if not more:
            break
        buffer, start = buffer[start:] + more, 0
    if buffer[start:].strip() != closing:
        raise _broken_off(path, buffer[start : start + _MOST_SHOWN])


def _end_of_value(buffer: str, start: int) -> int | None:
    """Return where the JSON value at `start` ends; None where it does not, or there is none."""
    try:
        return _DECODER.raw_decode(buffer, start)[1]
    except (json.JSONDecodeError, RecursionError):
        return None


def _broken_off(path: Path, rest: str) -> InvalidInput:
    return InvalidInput(
        str(path),
        rest.encode("utf-8", "surrogateescape").decode(errors="replace"),
        "a whole JSON array of objects, or one object a line. What stands before this place is "
        "in, and does not count twice when the mended file is imported",
    )


def _object(text: bytes) -> dict[str, Any] | None:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _column(values: list[Any]) -> pa.Array:
    """Return values as a column; those of mixed or nested kinds as texts."""
    try:
        column = pa.array(values)
        if not pa.types.is_nested(column.type):
            return column
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        pass
    plain = [value if value is None or isinstance(value, str) else _json(value) for value in values]
    return pa.array(plain, pa.string())


def _is_plain(column: pa.Array, values: list[Any]) -> bool:
    """Return whether a column holds texts alone, or whole numbers alone."""
    kind = column.type
    if pa.types.is_string(kind):
        return all(value is None or isinstance(value, str) for value in values)
    return bool(pa.types.is_null(kind) or pa.types.is_integer(kind))


def _json(value: object) -> str:
    """Return a value as JSON; a whole number without a point, as `normal.texts` has it."""
    whole = isinstance(value, float) and may_be_id(value)
    return orjson.dumps(int(value) if whole else value).decode()  # type: ignore[call-overload]
