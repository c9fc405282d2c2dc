"""One file into the log: read, check, store, count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from recsys.customers import ConsentChange, CustomerChange
from recsys.events import Event, EventType, Position
from serving.customers import refusals_in
from serving.importing.consents import ConsentLines
from serving.importing.encode import ItemLines
from serving.importing.prepared import ImportJob, Ready, open_source
from serving.importing.readers import said_as_unreadable
from serving.importing.rejects import RejectsFile
from serving.importing.repeats import Repeats
from serving.importing.tables import Broken
from serving.log.customer_register import CustomersChanged
from serving.log.event_log import Placed
from serving.log.items import ItemsChanged
from serving.log.records import NEWLINE, Lines, decode

_UNSUBSCRIBE = b'"%b"' % EventType.UNSUBSCRIBE.value.encode()
_STATEMENTS_A_COMMIT = 5_000


class Store(Protocol):
    """What keeps the good rows; they are durable on return."""

    def append(self, lines: Lines) -> Placed:
        """Store events."""
        ...

    def put_items(
        self, item_ids: Sequence[str], payloads: Sequence[bytes], market: str = ""
    ) -> ItemsChanged:
        """Store what is true of items now; of one that comes several times, the last holds.

        market: whose offer is all that the rows know; an item keeps those of other markets.
        """
        ...

    def change_customers(self, changes: Sequence[CustomerChange]) -> CustomersChanged:
        """Store what customers said."""
        ...


@dataclass(frozen=True, slots=True)
class ImportCounts:
    """What became of the rows of a file; rows_read is the sum of the others.

    accepted: new events of the log, items that are new or have changed, new statements. duplicates:
    events and statements the log had, items known just so. rejected: unusable rows.
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
    last_position: of the log after the last batch; 0 where nothing was stored.
    skipped: how often something stood in the file that means nothing here, by its name.
    n_repeated: rows of items that another row before them names; the last one holds.
    broken: where the file could be read no further; None where it was read to its end.
    """

    counts: ImportCounts
    rejects: Path | None
    last_position: Position
    skipped: Mapping[str, int] = field(default_factory=Counter)
    n_repeated: int = 0
    broken: Broken | None = None


OnBatch = Callable[[ImportCounts, int | None], None]
"""Told, after each durable batch, the counts so far and how many rows the file has, if known."""


def import_file(file: Path, job: ImportJob, *, writer: Store, progress: OnBatch) -> Imported:
    """Store the rows of a file, batch by durable batch, and return the counts.

    Stopped anywhere, it can be run again: what is in is a duplicate then.
    Raises NotFound, InvalidInput, Unavailable.
    """
    with said_as_unreadable(file):
        source = open_source(file, job)
    counts, last, skipped = ImportCounts(), Position(0), Counter[str]()
    repeats, n_repeated, broken = Repeats(), 0, None
    rejecting = RejectsFile(job.rejects_folder, file, job.may_be_kept)
    with rejecting as rejects, said_as_unreadable(file):
        for batch in source.batches():
            rejects.write(batch.rejects)
            n_new, last = _stored(batch.lines, writer, last)
            if isinstance(batch.lines, ItemLines):
                n_repeated += repeats.count(batch.lines.item_ids)
            skipped.update(batch.skipped)
            broken = batch.broken
            n_rejected, n_known = len(batch.rejects), len(batch.lines) - n_new
            counts += ImportCounts(batch.n_rows, n_new, n_known, n_rejected)
            counts.check()
            progress(counts, source.n_rows)
    found = rejects.path if counts.rejected else None
    return Imported(counts, found, last, skipped, n_repeated, broken)


def _stored(lines: Ready, writer: Store, last: Position) -> tuple[int, Position]:
    """Store lines; return how many were new, and the log's last position, `last` for no lines."""
    if not len(lines):
        return 0, last
    match lines:
        case ItemLines():
            put = writer.put_items(lines.item_ids, lines.payloads, lines.market)
            return put.changed, put.last_position
        case ConsentLines():
            return _stated(lines.changes, writer, last)
        case Lines():
            placed = writer.append(lines)
            _, last = _stated(refusals_in(_unsubscriptions(lines)), writer, placed.last_position)
            return placed.n_new, last


def _stated(
    changes: Sequence[ConsentChange], writer: Store, last: Position
) -> tuple[int, Position]:
    """Store statements, some a commit, so that a server that runs never waits long for the log."""
    n_new = 0
    for start in range(0, len(changes), _STATEMENTS_A_COMMIT):
        done = writer.change_customers(changes[start : start + _STATEMENTS_A_COMMIT])
        n_new, last = n_new + done.changed, done.last_position
    return n_new, last


def _unsubscriptions(lines: Lines) -> list[Event]:
    """Return the events that may be unsubscriptions, repeats among them.

    An import that was stopped between the commit of its events and that of their refusals is run
    again, and its events are repeats then.
    """
    if _UNSUBSCRIBE not in lines.payload:
        return []
    return [decode(one) for one in lines.payload.split(NEWLINE) if _UNSUBSCRIBE in one]
