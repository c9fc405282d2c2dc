"""Batches of a file, made ready for the log: rows of a table by a mapping, or shaped documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path

from recsys.errors import InvalidInput
from recsys.events import Event, Record
from recsys.items import Item
from serving.clock import Clock
from serving.importing.checks import Fault, faults_of, kinds_of_ids
from serving.importing.consents import ConsentLines, consents_of
from serving.importing.encode import ItemLines
from serving.importing.events import events_of
from serving.importing.items import items_of
from serving.importing.json_files import Documents, is_json, row_batches
from serving.importing.mapping import (
    CONSENT_COLUMNS,
    EVENT_COLUMNS,
    ITEM_COLUMNS,
    FieldMapping,
)
from serving.importing.merchant import BrokenOff, Product, catalog_changes, item_of, products_of
from serving.importing.readers import check_there, open_table
from serving.importing.rejects import MayBeKept, Reject, rejects_of
from serving.importing.tables import BATCH_ROWS, BLOCK_BYTES, Batch, Broken, Table, kind_of
from serving.intake import counted_time
from serving.log.records import Lines
from serving.shapes import Shaped, shaped_ga4, shaped_segment


class Subject(StrEnum):
    """What a file is about."""

    EVENTS = "events"
    CATALOG = "catalog"
    CONSENTS = "consents"


class Shape(StrEnum):
    """Whose events a file of documents holds."""

    GA4 = "ga4"
    SEGMENT = "segment"


class Feed(StrEnum):
    """For whom a file describes products."""

    MERCHANT = "merchant"


Ready = Lines | ItemLines | ConsentLines
"""Good rows as the log takes them."""

_FIELDS: Mapping[Subject, Sequence[str]] = {
    Subject.EVENTS: EVENT_COLUMNS,
    Subject.CATALOG: ITEM_COLUMNS,
    Subject.CONSENTS: CONSENT_COLUMNS,
}

_SHAPES: Mapping[Shape, Callable[..., Shaped]] = {
    Shape.GA4: shaped_ga4,
    Shape.SEGMENT: shaped_segment,
}


@dataclass(frozen=True, slots=True)
class ImportJob:
    """What to make of a file.

    subject: of the file. mapping: where the fields come from.
    rejects_folder: where unusable rows are written.
    clock: says which times lie ahead, and which sales hold.
    shape: of what is written for another system; None for rows and a mapping.
    market: whose terms a feed tells; empty for those of an item that names no markets.
    may_be_kept: whether the text of an unusable row may be; not where it names who was erased.
    """

    subject: Subject
    mapping: FieldMapping
    rejects_folder: Path
    clock: Clock
    shape: Shape | Feed | None = None
    market: str = ""
    may_be_kept: MayBeKept = lambda _: True


@dataclass(frozen=True, slots=True)
class Prepared:
    """A batch, ready for the log.

    n_rows: all that came, the rejects among them.
    skipped: how often something stood in it that means nothing here, by its name.
    broken: where the file can be read no further, which is among the rejects.
    """

    lines: Ready
    rejects: list[Reject]
    n_rows: int
    skipped: Counter[str] = field(default_factory=Counter)
    broken: Broken | None = None


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
    if isinstance(job.shape, Feed):
        return Source(None, partial(_of_feed, file, job))
    if not is_json(kind_of(file)):
        raise InvalidInput(
            str(file), file.suffix, "a .json, .jsonl or .ndjson file (also with .gz)"
        )
    return Source(None, partial(_of_documents, file, job, job.shape))


def _table_source(file: Path, job: ImportJob) -> Source:
    table = open_table(file)
    mapping = job.mapping.for_file(file, _FIELDS[job.subject], table.columns)
    return Source(table.n_rows, partial(_of_rows, table, mapping, job))


def _of_rows(table: Table, mapping: FieldMapping, job: ImportJob) -> Iterator[Prepared]:
    for batch in table.batches():
        checks = kinds_of_ids(batch, mapping)
        good, unfit = faults_of(checks, batch.rows.num_rows)
        kept = batch.take(good) if unfit else batch
        lines, faults = _ready(kept, mapping, job)
        rejects = [*rejects_of(replace(batch, broken=()), unfit), *rejects_of(kept, faults)]
        yield Prepared(lines, rejects, _n_rows(batch))


def _ready(batch: Batch, mapping: FieldMapping, job: ImportJob) -> tuple[Ready, list[Fault]]:
    """Return the good rows, and the first fault of each other row."""
    match job.subject:
        case Subject.EVENTS:
            return events_of(batch, mapping, job.clock())
        case Subject.CATALOG:
            return items_of(batch, mapping)
        case Subject.CONSENTS:
            return consents_of(batch, mapping, job.clock())


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


def _of_feed(file: Path, job: ImportJob) -> Iterator[Prepared]:
    batch = _Products(job.market, job.clock())
    for one in products_of(file):
        batch.take(one)
        if batch.is_full:
            yield batch.prepared()
            batch = _Products(job.market, job.clock())
    yield batch.prepared()


class _Products:
    """Gathers what some products of a feed become. now: tells which sales hold."""

    def __init__(self, market: str, now: datetime) -> None:
        self._market, self._now = market, now
        self._items: list[Item] = []
        self._rejects: list[Reject] = []
        self._skipped: Counter[str] = Counter()
        self._size = 0
        self._broken: Broken | None = None

    @property
    def is_full(self) -> bool:
        """Whether the next product belongs to the next batch."""
        return len(self._items) + len(self._rejects) >= BATCH_ROWS or self._size >= BLOCK_BYTES

    def take(self, one: Product | Broken | BrokenOff) -> None:
        """Add what a feed holds next."""
        if isinstance(one, Product):
            self._take(one)
            return
        if isinstance(one, BrokenOff):
            self._broken = one.at
        self._rejects.append(Reject.of_line(one.at if isinstance(one, BrokenOff) else one))

    def prepared(self) -> Prepared:
        """Return the batch."""
        lines = ItemLines.of(catalog_changes(self._items, self._market), self._market)
        n_rows = len(self._items) + len(self._rejects)
        return Prepared(lines, self._rejects, n_rows, self._skipped, self._broken)

    def _take(self, product: Product) -> None:
        self._size += product.size
        try:
            item, skipped = item_of(product, self._now)
        except InvalidInput as error:
            path = ".".join(filter(None, (product.place, error.field)))
            reject = Reject(product.line, path, error.came, error.wanted, product.row)
            self._rejects.append(reject)
            return
        self._items.append(item)
        self._skipped.update(skipped)
