"""Pace: what answers cost of late, so that none is begun that cannot be ended in time."""

from __future__ import annotations

SENDING_S = 0.005
"""What an answer that is made needs to reach its caller, at least."""
SENDING_SHARE = 0.2
"""Share of the time that a caller waits which is kept for that: a machine may be busy."""

_HURRIED_AT_FIRST_S = 0.002
_NEWEST = 0.2
"""Weight of the newest answers among those before."""
_ROOM = 1.5
"""Times as long as usual that an answer is given."""
_HOPE = 0.9
"""What is left of the cost in full after an answer was spared it, so that it is tried again."""


def to_make(within_s: float) -> float:
    """Return how many of the seconds that a caller waits there are to make the answer."""
    return within_s - max(SENDING_S, SENDING_SHARE * within_s)


class Pace:
    """Seconds that the list of one slot takes: in full, and in a hurry, of popular items alone."""

    def __init__(self) -> None:
        self._full_s = 0.0
        self._hurried_s = _HURRIED_AT_FIRST_S

    def full_s(self, n_slots: int) -> float:
        """Return how long so many lists may take."""
        return self._full_s * n_slots * _ROOM

    def hurried_s(self, n_slots: int) -> float:
        """Return how long so many lists of popular items may take."""
        return self._hurried_s * n_slots * _ROOM

    def took(self, seconds: float, n_slots: int, *, hurried: bool) -> None:
        """Note what so many lists took."""
        slot_s = seconds / max(1, n_slots)
        if hurried:
            self._hurried_s += _NEWEST * (slot_s - self._hurried_s)
        else:
            self._full_s += _NEWEST * (slot_s - self._full_s)

    def spared(self) -> None:
        """Note that answers were made in a hurry, since those in full seemed to take too long."""
        self._full_s *= _HOPE
