"""An id looked for in one file, in raw and in decoded form."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import orjson

from serving.erasure.sought import Certainty, Sought
from serving.log.searching import cells

Place = tuple[str, Certainty]
"""Where something was found, and how sure it is."""

_CHUNK = 4 << 20
_SQLITE = b"SQLite format 3\0"
_PARQUET = b"PAR1"
_GZIP = b"\x1f\x8b"
_JSON = (".json", ".jsonl", ".ndjson")
_LONGEST_LINE = 64 << 20

Search = Callable[[Path, Sought], Iterator[Place]]


def searches_of(path: Path) -> list[Search]:
    """Return the ways in which a file is searched: raw, and by what its first bytes say it is."""
    with path.open("rb") as file:
        head = file.read(16)
    if head == _SQLITE:
        return [in_raw, in_cells]
    if head[:4] == _PARQUET:
        from serving.lake.searching import in_columns, in_statistics  # loads the engine

        return [in_raw, in_columns, in_statistics]
    if head[:2] == _GZIP:
        return [in_raw, in_packed]
    return [in_raw, in_documents] if path.suffix.lower() in _JSON else [in_raw]


def in_raw(path: Path, sought: Sought) -> Iterator[Place]:
    """Yield whether the bytes of a file hold the id; free pages and torn ends are among them."""
    with path.open("rb") as file:
        yield from _in_stream(file, sought, "raw")


def in_packed(path: Path, sought: Sought) -> Iterator[Place]:
    """Yield whether what is packed in a gzip file holds the id."""
    with gzip.open(path, "rb") as file:
        yield from _in_stream(file, sought, "packed")  # type: ignore[arg-type]


def in_cells(path: Path, sought: Sought) -> Iterator[Place]:
    """Yield the columns of an SQLite file that hold the id, in text or in bytes."""
    found: dict[str, Certainty] = {}
    for table, name, value in cells(path):
        sure = sought.in_field(value.decode(errors="surrogateescape"), name)
        if sure:
            place = f"{table}.{name}"
            found[place] = max(found.get(place, Certainty.NOT), sure)
    yield from ((f"cell {name}", sure) for name, sure in found.items())


def in_documents(path: Path, sought: Sought) -> Iterator[Place]:
    """Yield the fields of JSON documents, a file or a line each, that hold the id."""
    found: dict[str, Certainty] = {}
    with path.open("rb") as file:
        for name, value in _fields(file):
            sure = sought.in_field(value, name)
            if sure:
                found[name] = max(found.get(name, Certainty.NOT), sure)
    yield from ((f"field {name}", sure) for name, sure in found.items())


def _in_stream(file: BinaryIO, sought: Sought, how: str) -> Iterator[Place]:
    """Yield at most one place; what stands across two chunks is seen whole."""
    surest, offset, tail = Certainty.NOT, 0, b""
    where = 0
    while chunk := file.read(_CHUNK):
        content = tail + chunk
        found = sought.in_bytes(content, start=bool(tail))
        if found > surest:
            surest, where = found, offset
        offset += len(chunk)
        tail = content[-sought.longest :]
    if surest:
        yield f"{how}, near byte {where:,}", surest


def _fields(file: BinaryIO) -> Iterator[tuple[str, str]]:
    """Yield name and text of every field of the documents in a file."""
    for line in file:
        try:
            yield from _leaves(orjson.loads(line), "")
        except orjson.JSONDecodeError:
            break
    else:
        return
    file.seek(0)
    whole = file.read(_LONGEST_LINE)
    try:
        yield from _leaves(orjson.loads(whole), "")
    except orjson.JSONDecodeError:
        return  # torn, or too large: the raw search has seen it


def _leaves(document: object, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(document, dict):
        for key, value in document.items():
            yield from _leaves(value, key)
    elif isinstance(document, list):
        for value in document:
            yield from _leaves(value, name)
    elif isinstance(document, str) and document[:1] == "{":
        yield from _nested(document, name)
    elif isinstance(document, (str, int, float)) and not isinstance(document, bool):
        yield name, str(document)


def _nested(text: str, name: str) -> Iterator[tuple[str, str]]:
    """Yield the fields of JSON in a text, as the statistics of a Delta commit are."""
    try:
        yield from _leaves(orjson.loads(text), name)
    except orjson.JSONDecodeError:
        yield name, text
