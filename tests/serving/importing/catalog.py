"""What imports catalogs in tests, and the items that they become."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from recsys.items import Item
from serving.importing.job import Imported, import_file
from serving.importing.mapping import FieldMapping
from serving.importing.prepared import Feed, ImportJob, Subject
from serving.log.tail import LogTail
from serving.log.writer import Writer

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


@dataclass
class CatalogImporter:
    """Imports catalogs into one folder, at a time that a test may set."""

    folder: Path
    now: datetime = NOON
    writer: Writer = field(init=False)

    def __post_init__(self) -> None:
        self.writer = Writer(self._log, clock=lambda: self.now)

    def __call__(
        self,
        file: Path,
        mapping: FieldMapping | None = None,
        *,
        feed: Feed | None = None,
        market: str = "",
    ) -> Imported:
        chosen = mapping or FieldMapping(automatic=True)
        rejects = self.folder / "rejects"
        job = ImportJob(Subject.CATALOG, chosen, rejects, lambda: self.now, feed, market)
        return import_file(file, job, writer=self.writer, progress=lambda counts, n_rows: None)

    def feed(self, file: Path, market: str = "") -> Imported:
        return self(file, feed=Feed.MERCHANT, market=market)

    def items(self) -> list[Item]:
        self.writer.open()
        tail = LogTail(self._log)
        found = tail.items_described(-1, 100_000)
        tail.close()
        return [one.item for one in found if one.item is not None]

    @property
    def _log(self) -> Path:
        return self.folder / "log" / "log.sqlite"
