"""How a machine fares while a promise about seconds is tested on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event as Flag

_BEAT_S = 0.05
_STALL_S = 0.2
_NANOSECONDS = 1e9


class Heart:
    """Notes for how long processes that wanted to run did not get to.

    The promise is about a machine that runs them. Where a core is shared by many, or all stands
    still for a moment, a change acts that much later, and no worker could do anything about it.

    processes: which to watch, asked at each beat. newest: when it beat last; what the machine
    lost before that is known.
    """

    def __init__(self, processes: Callable[[], Iterable[int]]) -> None:
        self.newest = time.monotonic()
        self._processes = processes
        self._waited: dict[Path, float] = {}
        self._lost: list[tuple[float, float, float]] = []

    def beat(self, stop: Flag) -> None:
        """Beat until told to stop."""
        while not stop.wait(_BEAT_S):
            before, now = self.newest, time.monotonic()
            still_s = now - before if now - before > _STALL_S else 0.0
            self._lost.append((before, now, max(still_s, self._waited_more())))
            self.newest = now

    def lost_s(self, since: float, until: float) -> float:
        """Return for how long, at most, somebody stood still: this process, or a thread watched."""
        return sum(lost for begin, end, lost in self._lost if begin < until and end > since)

    def _waited_more(self) -> float:
        """Return for how long a thread waited for a core since the last beat: who waited most."""
        before = self._waited
        self._waited = {file: waited_s(file) for one in self._processes() for file in threads(one)}
        more = (now - before[one] for one, now in self._waited.items() if one in before)
        return max(more, default=0.0)


def threads(process: int) -> Iterator[Path]:
    """Yield where the system says how each thread of a process was scheduled."""
    return Path(f"/proc/{process}/task").glob("*/schedstat")


def waited_s(thread: Path) -> float:
    """Return for how long a thread has waited for a core; 0 for one that has ended."""
    with suppress(OSError):
        return int(thread.read_text().split()[1]) / _NANOSECONDS
    return 0.0
