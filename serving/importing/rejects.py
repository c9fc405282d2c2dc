"""The rows that could not be used, in a file beside the data, each with what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import orjson

from recsys.errors import Unavailable
from serving.importing.checks import Fault
from serving.importing.readers import Batch


class RejectsFile:
    """Writes rejected rows of one file as JSON Lines: file, line, field, came, wanted, row.

    The file is made at the first rejected row, in place of the one of an earlier import. Raises
    Unavailable where the disk refuses it.
    """

    def __init__(self, folder: Path, source: Path) -> None:
        self.path = folder / f"{source.name}.rejects.jsonl"
        self._source = source
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        with self._said_as_unavailable():
            self.path.unlink(missing_ok=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            with self._said_as_unavailable():
                self._file.close()

    def write(self, batch: Batch, faults: Sequence[Fault]) -> int:
        """Write the broken lines and faulty rows of a batch; return how many there are."""
        with self._said_as_unavailable():
            self._write(batch, faults)
        return len(faults) + len(batch.broken)

    def _write(self, batch: Batch, faults: Sequence[Fault]) -> None:
        rows = batch.rows.take([fault.row for fault in faults]).to_pylist() if faults else []
        for fault, row in zip(faults, rows, strict=True):
            self._write_one(
                line=batch.lines[fault.row],
                field=fault.field,
                came=fault.came,
                wanted=fault.wanted,
                row=row,
            )
        for broken in batch.broken:
            self._write_one(
                line=broken.line, field="", came=broken.came, wanted=broken.wanted, row=broken.came
            )
        if self._file is not None:
            self._file.flush()

    def _write_one(self, **said: Any) -> None:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("wb")
        document = {"file": str(self._source), **said}
        self._file.write(orjson.dumps(document, default=str, option=orjson.OPT_APPEND_NEWLINE))

    @contextmanager
    def _said_as_unavailable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Unavailable(
                f"rejected rows cannot be written to {self.path}: {error}. Make room in the data "
                "folder and run the same command again; rows that are in do not count twice",
                reason="DISK_UNAVAILABLE",
            ) from error
