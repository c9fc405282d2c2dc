"""Events behind a position, customer by customer, for who must know them all as they come."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from recsys.events import Position
from serving.lake.replay import events_behind
from serving.log.tail import LogTail
from serving.state.changes import changes_of, joined
from serving.state.keys import StateKey, StateKeys


class NewerEvents:
    """What came behind a position, as the state that it makes of each customer.

    latest: second since 1970; later events come from a wrong clock and make no state.

    For one thread. Every method raises Unavailable when log or lake cannot be read.
    """

    def __init__(self, log_file: Path, lake_folder: Path, keys: StateKeys, latest: int) -> None:
        self._tail = LogTail(log_file)
        self._lake_folder = lake_folder
        self._keys = keys
        self._latest = latest
        self._through = Position(0)
        self._states: dict[StateKey, bytes] = {}

    def close(self) -> None:
        """Let the log go."""
        self._tail.close()

    def last_position(self) -> Position:
        """Return the position of the newest record."""
        return self._tail.last_position()

    def begin(self, most: Position) -> Position:
        """Return where to begin: as far as the lake goes, at most at `most`."""
        self._through = min(self._tail.drained_through, most)
        return self._through

    def advance(self, until: Position | None = None) -> Mapping[StateKey, bytes]:
        """Return the states of all that came up to a position, or to now."""
        last = self._tail.last_position() if until is None else until
        self._add(self._states, last)
        self._through = max(self._through, last)
        return self._states

    def pending(self) -> Mapping[StateKey, bytes]:
        """Return the states of what stands behind the position that was advanced to."""
        states: dict[StateKey, bytes] = {}
        self._add(states, self._tail.last_position())
        return states

    def _add(self, states: dict[StateKey, bytes], until: Position) -> None:
        for step in events_behind(self._tail, self._lake_folder, self._through, until):
            for change in changes_of(step.events.until(self._latest), self._keys):
                before = states.get(change.key)
                states[change.key] = joined(before, change.entries) if before else change.entries
