"""Files of lines that name customers: rejected rows, and lists made for campaigns."""

from __future__ import annotations

import csv
import gzip
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import BinaryIO

from serving.disk import synced
from serving.erasure.mentions import Mentioned

_TABLES = (".csv", ".tsv")
_LINES = (".jsonl", ".ndjson", ".txt", *_TABLES)


def files_of_lines(folder: Path) -> list[Path]:
    """Return the files of lines in a folder and below, packed or not, by name."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and _form(path) in _LINES)


def drafts_under_way(folder: Path) -> list[Path]:
    """Return the files that living processes write just now; remove those that dead ones left."""
    living = []
    for path in sorted(folder.rglob(".*.draft")):
        if _is_written(path):
            living.append(path)
        else:
            path.unlink(missing_ok=True)
    return living


def erase_lines(path: Path, mentioned: Mentioned) -> Counter[int]:
    """Write a file again without the lines that mention somebody; return how many went.

    By place of the erasure. The new file takes the place of the old one whole, or not at all; where
    nobody is mentioned nothing is written. Raises OSError.
    """
    judge = _of_table(mentioned) if _form(path) in _TABLES else mentioned
    removed: Counter[int] = Counter()
    with opened(path) as file:
        removed.update(place for line in _records(file, path) if (place := judge(_text(line))) >= 0)
    if removed:
        _replace(path, judge)
    return removed


def _is_written(draft: Path) -> bool:
    """Return whether the process whose number a draft bears lives, and is not this one."""
    number = draft.name.split(".")[-2]
    if not number.isdecimal() or int(number) == os.getpid():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _replace(path: Path, judge: Callable[[str], int]) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        with opened(path) as file, draft.open("wb") as raw:
            with _packed(raw, path) as out:
                out.writelines(line for line in _records(file, path) if judge(_text(line)) < 0)
            raw.flush()
            os.fsync(raw.fileno())
        shutil.copystat(path, draft)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    synced(path.parent)


def _of_table(mentioned: Mentioned) -> Callable[[str], int]:
    """Return what judges a line of a table by its cells."""

    def judge(line: str) -> int:
        try:
            rows = list(csv.reader(StringIO(line), delimiter="\t" if "\t" in line else ","))
        except csv.Error:
            rows = [[line]]
        return max((mentioned.in_values(row) for row in rows), default=-1)

    return judge


def _records(file: BinaryIO, path: Path) -> Iterator[bytes]:
    """Yield the lines of a file; of a table its records, in which a quoted cell may break lines."""
    record = b""
    for line in file:
        record += line
        if _form(path) not in _TABLES or record.count(b'"') % 2 == 0:
            yield record
            record = b""
    if record:
        yield record


def _form(path: Path) -> str:
    return Path(path.stem).suffix.lower() if path.suffix == ".gz" else path.suffix.lower()


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Give the file, unpacked where it is packed."""
    with path.open("rb") as raw:
        yield gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw  # type: ignore[misc]


@contextmanager
def _packed(raw: BinaryIO, path: Path) -> Iterator[BinaryIO]:
    if path.suffix != ".gz":
        yield raw
        return
    with gzip.GzipFile(fileobj=raw, mode="wb") as packed:
        yield packed  # type: ignore[misc]


def _text(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\r\n")
