"""A lake that was filled as a server fills it: through the log and its drain."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

from recsys.events import Event, EventType, Record
from recsys.ids import ItemId
from serving.lake.drain import Drain
from serving.lake.keeping import Keeping
from serving.lake.lake import Lake
from serving.log.records import Lines
from serving.log.tail import LogTail
from serving.log.writer import Writer

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
AT_ONCE = Keeping(versions=timedelta(0))
"""Keeps no version but the newest."""


@dataclass
class House:
    """A data folder, open."""

    folder: Path
    writer: Writer
    tail: LogTail
    lake: Lake

    def drain(self, *events: Event) -> None:
        """Bring these events into the lake, in one commit."""
        self.writer.append(Lines.of([Record(event) for event in events]))
        self.drain_again()

    def drain_again(self) -> None:
        """Drain what the log holds behind its mark."""
        list(Drain(self.tail, self.lake).run())

    def forget_the_mark(self) -> None:
        """Leave what a crash between the lake's commit and the mark leaves."""
        self.tail._connection.execute("DELETE FROM marks WHERE name = 'drained_through'")

    def tidy(self, keeping: Keeping = AT_ONCE, now: datetime | None = None) -> None:
        """Tidy the lake, in all its steps."""
        for _ in self.lake.tidy(keeping, now or datetime.now(UTC) + DAY):
            continue

    def table(self, name: str) -> pa.Table:
        return DeltaTable(self.folder / "lake" / name).to_pyarrow_table()

    def event_ids(self) -> list[str]:
        return sorted(self.table("events")["event_id"].to_pylist())

    def data_files(self, name: str = "events") -> list[Path]:
        """Return the data files that lie in a table's folder, named by a version or not."""
        table = self.folder / "lake" / name
        return [path for path in table.rglob("*.parquet") if path.parent.name != "_delta_log"]

    def log_files(self, pattern: str, name: str = "events") -> list[Path]:
        return sorted((self.folder / "lake" / name / "_delta_log").glob(pattern))


@contextmanager
def house(folder: Path) -> Iterator[House]:
    """Give a new data folder, open."""
    path = folder / "log" / "log.sqlite"
    made = House(folder, Writer(path, clock=lambda: NOON), LogTail(path), Lake(folder / "lake"))
    made.lake.open()
    yield made
    made.writer.close()
    made.tail.close()


def event(event_id: str, kind: EventType = EventType.PURCHASE, **fields: Any) -> Event:
    """Return an event of Ann on bread at noon, but for the fields that are given."""
    given: dict[str, Any] = {"time": NOON, "item_id": ItemId("bread"), "user_id": "ann", **fields}
    return Event(event_id=event_id, type=kind, **given)
