"""The drain: what the log holds goes to the lake, and then leaves the log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from recsys.events import Position, RecordKind
from serving.lake.columns import event_columns, item_columns, vocabulary_columns
from serving.lake.lake import Drawn, Lake
from serving.log.tail import DRAINED_THROUGH, LogTail

CHUNK = 200_000
DRAIN_ASKED_THROUGH = "drain_asked_through"
"""Mark of the log: who set it waits until the lake holds the records up to it."""
_NOTHING = Position(0)


@dataclass(frozen=True, slots=True)
class Drained:
    """One step of the drain: how many records it moved, and through which position."""

    records: int
    position: Position


@dataclass(frozen=True, slots=True)
class Waiting:
    """What stands before the drain: how many positions, and whether somebody waits for them."""

    records: int
    asked: bool


class Drain:
    """Moves committed records to the lake; for one process, the holder of the folder's lock.

    A step that is cut off anywhere can be run again: each table skips what it has.
    """

    def __init__(self, log: LogTail, lake: Lake, releases_folder: Path) -> None:
        self._log = log
        self._lake = lake
        self._releases_folder = releases_folder

    def waiting(self) -> Waiting:
        """Return what waits for the drain. Raises Unavailable."""
        marks = self._log.marks()
        drained = marks.get(DRAINED_THROUGH, _NOTHING)
        asked = marks.get(DRAIN_ASKED_THROUGH, _NOTHING) > drained
        return Waiting(self._log.last_position() - drained, asked)

    def run_once(self, limit: int = CHUNK) -> Drained:
        """Move at most `limit` records and return what was moved; 0 records: nothing waits.

        Raises Unavailable when log or lake cannot be used.
        """
        after = self._log.drained_through
        through = self._log.end_of(after, limit)
        events = self._log.rows(RecordKind.EVENT, after, through)
        items = self._log.rows(RecordKind.ITEM, after, through)
        moved = len(events) + len(items)
        if moved:
            self._lake.append(
                Drawn(
                    event_columns(events),
                    item_columns(items),
                    vocabulary_columns(self._log.vocabulary(self._lake.last_row())),
                    through,
                )
            )
            self._log.set_mark(DRAINED_THROUGH, through)
        return Drained(moved, through)

    def run(self, limit: int = CHUNK) -> Iterator[Drained]:
        """Yield one step after the other until nothing waits."""
        while (step := self.run_once(limit)).records:
            yield step

    def trim(self, applied_through: Position | None) -> int:
        """Delete what nobody needs from the log and return how many records went.

        Events go once they are in the lake and applied to the customers' state; item records
        stay besides until the oldest servable release knows them. With `applied_through`
        unknown everything stays.
        """
        if applied_through is None:
            return 0
        events_through = min(self._log.drained_through, applied_through)
        items_through = min(events_through, oldest_release(self._releases_folder))
        return self._log.trim(events_through=events_through, items_through=items_through)


def oldest_release(releases_folder: Path) -> Position:
    """Return the log position of the release that knows least; 0 with none, or an unreadable."""
    manifests = list(releases_folder.glob("*/manifest.json"))
    return min((_log_position(path) for path in manifests), default=_NOTHING)


def _log_position(manifest: Path) -> Position:
    """Return how far into the log a release knows; 0 where its manifest does not say."""
    try:
        found = orjson.loads(manifest.read_bytes())["log_position"]
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
        return _NOTHING
    return Position(found) if isinstance(found, int) else _NOTHING
