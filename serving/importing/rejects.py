"""The rows that could not be used, in a file beside the data, each with what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import orjson

from serving.importing.checks import Fault
from serving.importing.readers import Batch


class RejectsFile:
    """Writes rejected rows of one file as JSON Lines: file, line, field, came, wanted, row.

    The file is made at the first rejected row, in place of the one of an earlier import.
    """

    def __init__(self, folder: Path, source: Path) -> None:
        self.path = folder / f"{source.name}.rejects.jsonl"
        self._source = source
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        self.path.unlink(missing_ok=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, batch: Batch, faults: Sequence[Fault]) -> int:
        """Write the broken lines and faulty rows of a batch; return how many there are."""
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
        return len(rows) + len(batch.broken)

    def _write_one(self, **said: Any) -> None:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("wb")
        document = {"file": str(self._source), **said}
        self._file.write(orjson.dumps(document, default=str, option=orjson.OPT_APPEND_NEWLINE))
