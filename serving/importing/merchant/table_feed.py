"""Feeds as tables: tab-separated with a header, as Google takes them, or with another sign."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from recsys.errors import InvalidInput
from serving.importing.json_files import bytes_of
from serving.importing.merchant.gathering import Gathering
from serving.importing.merchant.products import MOST_CHARACTERS, Product, name_of
from serving.importing.tables import Broken
from serving.terminal import printable

_MOST_LINE = 16 << 20
_SIGNS = ",;|\t"
_SHOWN = 64


def table_products(path: Path) -> Iterator[Product | Broken]:
    """Yield the products of a table, and the lines that are none.

    Raises InvalidInput where the first line names no `id`.
    """
    with bytes_of(path) as file:
        lines = _Lines(file)
        header = next(lines, "")
        sign = "\t" if "\t" in header else max(_SIGNS, key=header.count)
        names = tuple(map(name_of, next(csv.reader([header], delimiter=sign), ())))
        if "id" not in names:
            wanted = "a first line with the names of the columns, id among them; or XML, or JSON"
            raise InvalidInput(str(path), printable(header[:_SHOWN]), wanted)
        yield from _rows(lines, names, sign)


def _rows(lines: _Lines, names: Sequence[str], sign: str) -> Iterator[Product | Broken]:
    """Yield the rows behind the header.

    Where quotes do not fit, as in a title that begins with one, they are part of the text, and the
    row ends with its first line.
    """
    reader = csv.reader(lines, delimiter=sign, strict=True)
    while True:
        lines.begin()
        try:
            row = next(reader, None)
        except csv.Error:
            row = None
        yield from lines.broken()
        if not lines.row:
            return
        number, text = lines.row[0]
        if row is None or len(row) not in (0, len(names)):
            lines.put_back()
            row = text.rstrip("\r\n").split(sign)
        if len(row) == len(names):
            yield _product(number, row, names)
        elif row:
            wanted = f"{len(names)} values, as in the header; got {len(row)}"
            yield Broken(number, text.rstrip("\r\n")[:MOST_CHARACTERS], wanted)


def _product(line: int, row: Sequence[str], names: Sequence[str]) -> Product:
    gathering = Gathering(line)
    for name, value in zip(names, row, strict=True):
        gathering.take(name, value.strip())
    return gathering.product()


class _Lines:
    """Gives a file's lines as texts, and those of a row again; what is not UTF-8 is broken.

    row: number and text of the lines given since the row began.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.row: list[tuple[int, str]] = []
        self._again: deque[tuple[int, str]] = deque()
        self._file = file
        self._number = 0
        self._broken: list[Broken] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        found = self._again.popleft() if self._again else self._next()
        if found is None:
            raise StopIteration
        self.row.append(found)
        return found[1]

    def begin(self) -> None:
        """Begin a row."""
        self.row = []

    def put_back(self) -> None:
        """Give all lines of the row but its first once more."""
        self._again.extendleft(reversed(self.row[1:]))

    def broken(self) -> list[Broken]:
        """Return the broken lines met since the last time."""
        broken, self._broken = self._broken, []
        return broken

    def _next(self) -> tuple[int, str] | None:
        while line := self._line():
            self._number += 1
            try:
                return self._number, line.decode("utf-8-sig" if self._number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                came = line[:MOST_CHARACTERS].decode(errors="replace").rstrip("\r\n")
                wanted = f"text in UTF-8; byte {error.start + 1} of the line is none"
                self._broken.append(Broken(self._number, came, wanted))
        return None

    def _line(self) -> bytes:
        """Return the next line; of one beyond all measure, the beginning."""
        line = rest = self._file.readline(_MOST_LINE)
        while len(rest) == _MOST_LINE and not rest.endswith(b"\n"):
            rest = self._file.readline(_MOST_LINE)
        return line
