"""One file into the log: read, map, check, append, count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recsys.events import Position, RecordKind
from serving.importing.events import events_of
from serving.importing.items import items_of
from serving.importing.mapping import FieldMapping
from serving.importing.readers import Batch, open_table, said_as_unreadable
from serving.importing.rejects import RejectsFile
from serving.log.records import EVENT_FIELDS, ITEM_FIELDS
from serving.log.writer import Placed, Writer

_FIELDS = {RecordKind.EVENT: EVENT_FIELDS, RecordKind.ITEM: ITEM_FIELDS}
_ROWS = {RecordKind.EVENT: events_of, RecordKind.ITEM: items_of}


@dataclass(frozen=True, slots=True)
class ImportCounts:
    """What became of the rows of a file; rows_read is the sum of the others.

    accepted: new records of the log. duplicates: events the log had. rejected: unusable rows.
    """

    rows_read: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0

    def __add__(self, other: ImportCounts) -> ImportCounts:
        return ImportCounts(
            self.rows_read + other.rows_read,
            self.accepted + other.accepted,
            self.duplicates + other.duplicates,
            self.rejected + other.rejected,
        )

    def check(self) -> None:
        """Raise ValueError where a row is counted twice or not at all."""
        if self.rows_read != self.accepted + self.duplicates + self.rejected:
            raise ValueError(f"rows are lost or counted twice: {self}")


@dataclass(frozen=True, slots=True)
class Imported:
    """A finished import.

    rejects: file of the rejected rows, None where there is none.
    last_position: of the log after the last batch; 0 where nothing was appended.
    """

    counts: ImportCounts
    rejects: Path | None
    last_position: Position


Progress = Callable[[ImportCounts, int | None], None]
"""Told, after each durable batch, the counts so far and how many rows the file has, if known."""


@dataclass(frozen=True, slots=True)
class ImportJob:
    """What to make of a file.

    kind: of the records. mapping: where their fields come from.
    rejects_folder: where unusable rows are written.
    """

    kind: RecordKind
    mapping: FieldMapping
    rejects_folder: Path


def import_file(file: Path, job: ImportJob, *, writer: Writer, progress: Progress) -> Imported:
    """Append the rows of a file to the log, batch by durable batch, and return the counts.

    Stopped anywhere, it can be run again: events that are in are duplicates then.
    Raises NotFound, InvalidInput, Unavailable.
    """
    table = open_table(file)
    mapping = job.mapping.for_file(file, _FIELDS[job.kind], table.columns)
    counts, last = ImportCounts(), Position(0)
    with RejectsFile(job.rejects_folder, file) as rejects, said_as_unreadable(file):
        for batch in table.batches():
            lines, faults = _ROWS[job.kind](batch, mapping)
            rejected = rejects.write(batch, faults)
            placed = writer.append(lines) if len(lines) else None
            last = placed.last_position if placed else last
            counts += _counted(batch, placed, rejected)
            counts.check()
            progress(counts, table.n_rows)
    return Imported(counts, rejects.path if counts.rejected else None, last)


def _counted(batch: Batch, placed: Placed | None, rejected: int) -> ImportCounts:
    accepted = placed.n_new if placed else 0
    duplicates = len(placed.positions) - accepted if placed else 0
    rows_read = batch.rows.num_rows + len(batch.broken)
    return ImportCounts(rows_read, accepted, duplicates, rejected)
