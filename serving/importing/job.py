"""One file into the log: read, check, append, count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from recsys.events import Position
from serving.importing.prepared import ImportJob, Prepared, open_source
from serving.importing.readers import said_as_unreadable
from serving.importing.rejects import RejectsFile
from serving.log.writer import Placed, Writer


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
    skipped: how often something stood in the file that means nothing here, by its name.
    """

    counts: ImportCounts
    rejects: Path | None
    last_position: Position
    skipped: Mapping[str, int] = field(default_factory=Counter)


OnBatch = Callable[[ImportCounts, int | None], None]
"""Told, after each durable batch, the counts so far and how many rows the file has, if known."""


def import_file(file: Path, job: ImportJob, *, writer: Writer, progress: OnBatch) -> Imported:
    """Append the rows of a file to the log, batch by durable batch, and return the counts.

    Stopped anywhere, it can be run again: events that are in are duplicates then.
    Raises NotFound, InvalidInput, Unavailable.
    """
    with said_as_unreadable(file):
        source = open_source(file, job)
    counts, last, skipped = ImportCounts(), Position(0), Counter[str]()
    with RejectsFile(job.rejects_folder, file) as rejects, said_as_unreadable(file):
        for batch in source.batches():
            rejects.write(batch.rejects)
            placed = writer.append(batch.lines) if len(batch.lines) else None
            last = placed.last_position if placed else last
            skipped.update(batch.skipped)
            counts += _counted(batch, placed)
            counts.check()
            progress(counts, source.n_rows)
    return Imported(counts, rejects.path if counts.rejected else None, last, skipped)


def _counted(batch: Prepared, placed: Placed | None) -> ImportCounts:
    accepted = placed.n_new if placed else 0
    duplicates = len(placed.positions) - accepted if placed else 0
    return ImportCounts(batch.n_rows, accepted, duplicates, len(batch.rejects))
