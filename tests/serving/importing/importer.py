"""What imports files in tests, and what they say of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from recsys.events import Event, Position
from serving.importing.job import Imported, import_file
from serving.importing.mapping import FieldMapping
from serving.importing.prepared import ImportJob, Shape, Subject
from serving.log.tail import LogTail
from serving.log.writer import Writer

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


@dataclass
class Importer:
    """Imports event files into one folder, at a time that a test may set."""

    folder: Path
    now: datetime = NOON
    writer: Writer = field(init=False)

    def __post_init__(self) -> None:
        self.writer = Writer(self.folder / "log" / "log.sqlite", clock=lambda: self.now)

    def __call__(
        self, file: Path, mapping: FieldMapping | None = None, shape: Shape | None = None
    ) -> Imported:
        chosen = mapping or FieldMapping(automatic=True)
        rejects = self.folder / "rejects"
        job = ImportJob(Subject.EVENTS, chosen, rejects, lambda: self.now, shape)
        return import_file(file, job, writer=self.writer, progress=lambda counts, n_rows: None)

    def stored(self) -> list[Event]:
        tail = LogTail(self.folder / "log" / "log.sqlite")
        facts = [record.fact for record in tail.records(Position(0), 10_000)]
        tail.close()
        return [fact for fact in facts if isinstance(fact, Event)]


def rejected(imported: Imported) -> list[dict[str, Any]]:
    """Return what the file of rejects says."""
    assert imported.rejects is not None
    return [orjson.loads(line) for line in imported.rejects.read_bytes().splitlines()]
