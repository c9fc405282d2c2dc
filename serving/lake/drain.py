"""The drain: what the log holds goes to the lake, and then leaves the log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from recsys.events import Position
from serving.lake.columns import event_columns, fact_columns, item_columns, vocabulary_columns
from serving.lake.lake import Drawn, Lake
from serving.log.tail import DRAINED_THROUGH, LogTail

CHUNK = 200_000
DRAIN_ASKED_THROUGH = "drain_asked_through"
"""Mark of the log: who set it waits until the lake holds the records up to it."""
_NOTHING = Position(0)


@dataclass(frozen=True, slots=True)
class Drained:
    """One step of the drain.

    records: events, items and facts about customers that it moved.
    position: through which the lake holds all. moved: whether it got any further.
    """

    records: int
    position: Position
    moved: bool


@dataclass(frozen=True, slots=True)
class Waiting:
    """What stands before the drain: how many positions, and whether somebody waits for them."""

    records: int
    asked: bool


class Drain:
    """Moves committed records to the lake; for one process, the holder of the folder's lock.

    A step that is cut off anywhere can be run again: each table skips what it has.
    """

    def __init__(self, log: LogTail, lake: Lake) -> None:
        self._log = log
        self._lake = lake

    def waiting(self) -> Waiting:
        """Return what waits for the drain. Raises Unavailable."""
        marks = self._log.marks()
        drained = marks.get(DRAINED_THROUGH, _NOTHING)
        asked = marks.get(DRAIN_ASKED_THROUGH, _NOTHING) > drained
        return Waiting(self._log.last_position() - drained, asked)

    def run_once(self, limit: int = CHUNK) -> Drained:
        """Move at most so many facts of each kind, and return how many that were.

        Raises Unavailable when log or lake cannot be used.
        """
        after = self._log.drained_through
        through = self._log.end_of(after, limit)
        events, items = self._log.events(after, through), self._log.items_between(after, through)
        facts = self._log.customer_facts(after, through)
        if through > after:
            numbered = self._log.vocabulary(self._lake.last_row())
            self._lake.append(
                Drawn(
                    event_columns(events),
                    item_columns(items),
                    vocabulary_columns(numbered),
                    fact_columns(facts),
                    through,
                )
            )
            self._log.set_mark(DRAINED_THROUGH, through)
        n_moved = len(events) + len(items) + len(facts)
        return Drained(n_moved, through, through > after)

    def run(self, limit: int = CHUNK) -> Iterator[Drained]:
        """Yield one step after the other until nothing waits."""
        while (step := self.run_once(limit)).moved:
            yield step

    def trim(self, applied_through: Position | None) -> int:
        """Delete the events that nobody needs from the log, and return how many went.

        They go once they are in the lake and applied to the customers' state. With
        `applied_through` unknown everything stays.
        """
        if applied_through is None:
            return 0
        return self._log.trim(min(self._log.drained_through, applied_through))
