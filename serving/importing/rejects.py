"""The rows that could not be used, in a file beside the data, each with what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import orjson
import pyarrow as pa

from recsys.errors import Unavailable
from serving.disk import make_private
from serving.importing.checks import Fault
from serving.importing.normal import plain
from serving.importing.tables import REJECTS, Batch, Broken


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that cannot be used.

    line: its place in the file. field: at fault; empty where it is no row at all.
    came, wanted: what is wrong with the field. row: all of it.
    """

    line: int
    field: str
    came: Any
    wanted: str
    row: Any

    @classmethod
    def of_line(cls, broken: Broken) -> Self:
        """Return the reject of a line that is no row."""
        return cls(broken.line, "", broken.came, broken.wanted, broken.came)


def rejects_of(batch: Batch, faults: Sequence[Fault]) -> list[Reject]:
    """Return the rejects of a batch: its faulty rows and its broken lines."""
    rows = _rows(batch.rows.take([fault.row for fault in faults])) if faults else []
    faulty = [
        Reject(batch.lines[fault.row], fault.field, fault.came, fault.wanted, row)
        for fault, row in zip(faults, rows, strict=True)
    ]
    return [*faulty, *map(Reject.of_line, batch.broken)]


MayBeKept = Callable[[str], bool]


class RejectsFile:
    """Writes rejected rows of one file as JSON Lines: file, line, field, came, wanted, row.

    The file is made at the first rejected row, in place of the one of an earlier import of the
    same source; of another source with the same name, it gets a number. Raises Unavailable where
    the disk refuses it.

    may_be_kept: whether a line may be; not where it names who was erased.
    """

    def __init__(self, folder: Path, source: Path, may_be_kept: MayBeKept = lambda _: True) -> None:
        self._may_be_kept = may_be_kept
        self.path = folder / f"{source.name}{REJECTS}"
        self._source = source.absolute()
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        with self._said_as_unwritten():
            self.path = self._own()
            self.path.unlink(missing_ok=True)
        return self

    def _own(self) -> Path:
        """Return the path of this source's rejects: the first that is no other source's."""
        numbered = (self.path.with_name(f"{self._source.name}.{n}{REJECTS}") for n in count(2))
        return next(
            path
            for path in chain([self.path], numbered)
            if not path.exists() or _source_in(path) == str(self._source)
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            with self._said_as_unwritten():
                self._file.close()

    def write(self, rejects: Sequence[Reject]) -> None:
        """Write rejected rows; they are in the file on return."""
        if rejects:
            with self._said_as_unwritten():
                file = self._opened()
                lines = (self._line(reject) for reject in rejects)
                file.writelines(line for line in lines if self._may_be_kept(line.decode()))
                file.flush()

    def _opened(self) -> BinaryIO:
        if self._file is None:
            make_private(self.path.parent)
            self._file = self.path.open("wb")
        return self._file

    def _line(self, reject: Reject) -> bytes:
        document = {
            "file": str(self._source),
            "line": reject.line,
            "field": reject.field,
            "came": reject.came,
            "wanted": reject.wanted,
            "row": reject.row,
        }
        return orjson.dumps(document, default=str, option=orjson.OPT_APPEND_NEWLINE)

    @contextmanager
    def _said_as_unwritten(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Unavailable(
                f"rejected rows cannot be written to {self.path}: {error}. Make room in the data "
                "folder and run the same command again; rows that are in do not count twice",
                reason="DISK_UNAVAILABLE",
            ) from error


def _rows(rows: pa.RecordBatch) -> list[dict[str, Any]]:
    names = rows.schema.names
    values = zip(*(plain(column) for column in rows.columns), strict=True)
    return [dict(zip(names, row, strict=True)) for row in values]


def _source_in(path: Path) -> object:
    """Return whose rejects a file holds, as its first line says; None where it does not."""
    try:
        with path.open("rb") as file:
            return orjson.loads(file.readline())["file"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
