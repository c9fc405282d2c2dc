"""Batches of a file, made ready for the log: rows of a table by a mapping, or shaped documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path

from recsys.errors import InvalidInput
from recsys.events import Event, Record, RecordKind
from serving.clock import Clock
from serving.importing.checks import faults_of, kinds_of_ids
from serving.importing.events import events_of
from serving.importing.items import items_of
from serving.importing.json_files import Documents, is_json, row_batches
from serving.importing.mapping import EVENT_COLUMNS, FieldMapping
from serving.importing.readers import check_there, open_table
from serving.importing.rejects import Reject, rejects_of
from serving.importing.tables import Batch, Table, kind_of
from serving.intake import counted_time
from serving.log.records import ITEM_FIELDS, Lines
from serving.shapes import Shaped, shaped_ga4, shaped_segment


class Shape(StrEnum):
    """Whose events a file of documents holds."""

    GA4 = "ga4"
    SEGMENT = "segment"


_SHAPES: Mapping[Shape, Callable[..., Shaped]] = {
    Shape.GA4: shaped_ga4,
    Shape.SEGMENT: shaped_segment,
}


@dataclass(frozen=True, slots=True)
class ImportJob:
    """What to make of a file.

    kind: of the records. mapping: where their fields come from.
    rejects_folder: where unusable rows are written.
    clock: says which times lie ahead.
    shape: of documents that are events of another system; None for rows and a mapping.
    """

    kind: RecordKind
    mapping: FieldMapping
    rejects_folder: Path
    clock: Clock
    shape: Shape | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A batch, ready for the log.

    n_rows: all that came, the rejects among them.
    skipped: how often something stood in it that means nothing here, by its name.
    """

    lines: Lines
    rejects: list[Reject]
    n_rows: int
    skipped: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Source:
    """A file about to be imported. n_rows: how many it has, None where that is not known."""

    n_rows: int | None
    batches: Callable[[], Iterator[Prepared]]


def open_source(file: Path, job: ImportJob) -> Source:
    """Return the batches of a file. Raises NotFound, InvalidInput."""
    if job.shape is None:
        return _table_source(file, job)
    check_there(file)
    if not is_json(kind_of(file)):
        raise InvalidInput(
            str(file), file.suffix, "a .json, .jsonl or .ndjson file (also with .gz)"
        )
    return Source(None, partial(_of_documents, file, job, job.shape))


def _table_source(file: Path, job: ImportJob) -> Source:
    table = open_table(file)
    fields = EVENT_COLUMNS if job.kind is RecordKind.EVENT else ITEM_FIELDS
    mapping = job.mapping.for_file(file, fields, table.columns)
    return Source(table.n_rows, partial(_of_rows, table, mapping, job))


def _of_rows(table: Table, mapping: FieldMapping, job: ImportJob) -> Iterator[Prepared]:
    for batch in table.batches():
        checks = kinds_of_ids(batch, mapping)
        good, unfit = faults_of(checks, batch.rows.num_rows)
        kept = batch.take(good) if unfit else batch
        if job.kind is RecordKind.EVENT:
            lines, faults = events_of(kept, mapping, job.clock())
        else:
            lines, faults = items_of(kept, mapping)
        rejects = [*rejects_of(replace(batch, broken=()), unfit), *rejects_of(kept, faults)]
        yield Prepared(lines, rejects, _n_rows(batch))


def _n_rows(batch: Batch) -> int:
    return int(batch.rows.num_rows) + len(batch.broken)


def _of_documents(file: Path, job: ImportJob, shape: Shape) -> Iterator[Prepared]:
    ahead = timedelta(days=job.mapping.shift_days)
    for documents in row_batches(file):
        yield _shaped(documents, shape, ahead, job.clock())


def _shaped(documents: Documents, shape: Shape, ahead: timedelta, now: datetime) -> Prepared:
    """Return what documents become. ahead: added to every time."""
    records: list[Record] = []
    rejects = [Reject.of_line(broken) for broken in documents.broken]
    skipped: Counter[str] = Counter()
    for line, document in zip(documents.lines, documents.found, strict=True):
        found = _SHAPES[shape](document)
        skipped.update(found.skipped)
        refused = list(found.refused)
        for event in found.events:
            try:
                records.append(Record(_counted(event, ahead, now)))
            except InvalidInput as error:
                refused.append(error)
        rejects += [
            Reject(line, error.field, error.came, error.wanted, document) for error in refused
        ]
    return Prepared(Lines.of(records), rejects, len(records) + len(rejects), skipped)


def _counted(event: Event, ahead: timedelta, now: datetime) -> Event:
    """Return the event at the time at which it counts. Raises InvalidInput where there is none."""
    try:
        time = counted_time(event.time + ahead, now)
    except OverflowError as error:
        raise InvalidInput("time", str(event.time), f"one that {ahead.days} days fit to") from error
    if time == event.time:
        return event
    moved = replace(event, time=time)
    moved.check()
    return moved
