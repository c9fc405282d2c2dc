"""Customers who changed lately, by the log: what a store says of them is held against it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from recsys.events import Position

KEPT_S = 10.0
"""Seconds for which a change is remembered though it is applied: a store that dies may lose it."""
MOST = 100_000
"""Changes remembered; where more wait to be applied, nothing is told of anybody until they are."""


class Changes(Protocol):
    """Which customers changed, so that a store is noticed that has not taken it, or lost it."""

    def cover(self, applied: Position) -> bool:
        """Return whether every change behind a position that is made by now is known here."""
        ...

    def newest(self, hashed: Iterable[bytes]) -> Position:
        """Return the newest change of customers with these hashed ids, 0 where none is known."""
        ...


@dataclass(frozen=True, slots=True)
class NoChanges:
    """For a store that nobody changes but the one who reads it."""

    def cover(self, applied: Position) -> bool:
        """Return True: there are none."""
        return True

    def newest(self, hashed: Iterable[bytes]) -> Position:
        """Return 0: there are none."""
        return Position(0)


NO_CHANGES = NoChanges()


@dataclass(frozen=True, slots=True)
class Change:
    """One change. hashed: ids of the customer, or customers, that it was about."""

    position: Position
    hashed: Sequence[bytes]


class RecentChanges:
    """Changes behind a position that the store has applied for certain, within one event loop.

    clock: seconds, of which only the difference counts. fresh_s: how long a look at the log counts.
    """

    def __init__(self, clock: Callable[[], float], *, fresh_s: float) -> None:
        self._clock = clock
        self._fresh_s = fresh_s
        self._newest: dict[bytes, Position] = {}
        self._taken: deque[tuple[Change, float]] = deque()
        self._looked_at = float("-inf")
        self._since: Position | None = None

    @property
    def begun(self) -> bool:
        """Whether it is known where to begin."""
        return self._since is not None

    def begin(self, applied: Position) -> None:
        """Take in changes behind this position from now on."""
        self._since = applied

    def take(self, changes: Sequence[Change]) -> None:
        """Take in changes, by ascending position, newer than all before."""
        now = self._clock()
        for change in changes:
            self._taken.append((change, now))
            self._newest |= dict.fromkeys(change.hashed, change.position)
        while len(self._taken) > MOST:
            self._drop()

    def looked(self, at: float) -> None:
        """Note that all is taken in that was changed before this reading of the clock."""
        self._looked_at = at

    def forget(self, applied: Position) -> None:
        """Forget what is applied for certain, and long enough for a store that dies to keep it."""
        old = self._clock() - KEPT_S
        while self._taken and self._taken[0][0].position <= applied and self._taken[0][1] <= old:
            self._drop()

    def cover(self, applied: Position) -> bool:
        """Return whether every change behind a position that is made by now is known here."""
        fresh = self._clock() - self._looked_at <= self._fresh_s
        return fresh and self._since is not None and applied >= self._since

    def newest(self, hashed: Iterable[bytes]) -> Position:
        """Return the newest change of customers with these hashed ids, 0 where none is known."""
        if not self._newest:
            return Position(0)
        return max((self._newest.get(one, Position(0)) for one in hashed), default=Position(0))

    def _drop(self) -> None:
        change, _ = self._taken.popleft()
        self._since = change.position
        for one in change.hashed:
            if self._newest[one] == change.position:
                del self._newest[one]
