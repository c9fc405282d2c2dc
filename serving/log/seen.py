"""Which events a log holds: every id of the last days, exactly, in about 20 bytes each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import Mask
from serving.log.records import DIGEST_BYTES, split_digests

DAYS_REMEMBERED = 7
"""Days, beside the present one, for which an event id is known."""

_MOST_RECENT = 100_000
_MANY_BYTES = 5_000 * DIGEST_BYTES
_GROWTH = 2
_BITS_A_DIGEST = 8

A = TypeVar("A", bound=np.generic)

Words = NDArray[np.uint64]
"""Halves of digests."""


class Connection(Protocol):
    """What answers SQL."""

    def execute(self, sql: str, values: tuple[int, ...]) -> Iterable[tuple[int, int, bytes]]:
        """Return the rows of a query."""
        ...


class Seen:
    """The digests of all events of one log, as far as one process has read or written them.

    New ones go to a set of recent ones, which now and then becomes a sorted run; a run is merged
    with the one before it unless that is twice as long, so that there are few.
    """

    def __init__(self) -> None:
        self._recent: set[bytes] = set()
        self._recent_in_order: list[bytes] = []
        self._recent_day = 0
        self._runs: list[_Run] = []
        self._last = 0
        self._first_day = 0

    def __len__(self) -> int:
        return len(self._recent) + sum(len(run) for run in self._runs)

    def catch_up(self, connection: Connection) -> None:
        """Read what was committed since the last time; inside a transaction nothing is missed."""
        rows = connection.execute(
            "SELECT last, day, digests FROM digests WHERE last > ? AND day >= ? ORDER BY last",
            (self._last, self._first_day),
        )
        for last, day, digests in rows:
            self._last = last
            self._remember(digests, day)

    def add(self, digests: bytes, *, day: int, last: int) -> None:
        """Remember digests, end to end, that were committed just now up to the position `last`."""
        self._remember(digests, day)
        self._last = last

    def known(self, digests: Sequence[bytes]) -> set[bytes]:
        """Return those of the digests that are remembered."""
        found = set() if self._recent.isdisjoint(digests) else self._recent.intersection(digests)
        if self._runs and digests:
            high, low = _halves(b"".join(digests))
            for run in self._runs:
                found.update(digests[place] for place in run.held(high, low).tolist())
        return found

    def forget(self, before_day: int) -> None:
        """Forget the events received before this day (days since 1970)."""
        if before_day > self._first_day:
            self._first_day = before_day
            self._settle()
            kept = [run.since(before_day) for run in self._runs]
            self._runs = [run for run in kept if len(run)]

    def _remember(self, digests: bytes, day: int) -> None:
        if len(digests) > _MANY_BYTES:
            self._push(_Run.of(digests, day))
            return
        if day != self._recent_day or len(self._recent) > _MOST_RECENT:
            self._settle()
            self._recent_day = day
        self._recent.update(split_digests(digests))
        self._recent_in_order.append(digests)

    def _settle(self) -> None:
        """Make a run of the recent ones."""
        if self._recent:
            self._push(_Run.of(b"".join(self._recent_in_order), self._recent_day))
            self._recent, self._recent_in_order = set(), []

    def _push(self, run: _Run) -> None:
        while self._runs and len(self._runs[-1]) < _GROWTH * len(run):
            run = self._runs.pop().merged(run)
        self._runs.append(run)


@dataclass(frozen=True, slots=True)
class _Run:
    """Digests in the order of their first halves.

    high, low: (n,) halves. days: (n,) uint16 days since 1970.
    first_bits: a bit for each beginning of `bits` bits that a first half may have, set where one
    has it. Most digests asked for are new, and most of those end here, without a search.
    """

    high: Words
    low: Words
    days: NDArray[np.uint16]
    bits: int
    first_bits: NDArray[np.uint8]

    def __len__(self) -> int:
        return self.high.size

    @classmethod
    def of(cls, digests: bytes, day: int) -> Self:
        """Return digests laid end to end, of one day, as a run."""
        high, low = _halves(digests)
        order = np.argsort(high)
        return cls.ordered(high[order], low[order], np.full(high.size, day, dtype=np.uint16))

    @classmethod
    def ordered(cls, high: Words, low: Words, days: NDArray[np.uint16]) -> Self:
        """Return digests that are in order as a run."""
        bits = (high.size * _BITS_A_DIGEST).bit_length()
        flags = np.zeros(1 << bits, dtype=np.bool_)
        flags[high >> np.uint64(64 - bits)] = True
        return cls(high, low, days, bits, np.packbits(flags, bitorder="little"))

    def held(self, high: Words, low: Words) -> NDArray[np.intp]:
        """Return the places of those of (m,) digests that are here."""
        beginnings = high >> np.uint64(64 - self.bits)
        flags = self.first_bits[beginnings >> np.uint64(3)] >> (beginnings & np.uint64(7))
        likely = np.flatnonzero(flags & 1)
        return likely[self._searched(high[likely], low[likely])] if likely.size else likely

    def _searched(self, high: Words, low: Words) -> Mask:
        """Return which digests are here; few share a first half, but any number may."""
        places = np.searchsorted(self.high, high)
        held = np.zeros(high.size, dtype=np.bool_)
        alike = np.flatnonzero(self.high.take(places, mode="clip") == high)
        while alike.size:
            held[alike] |= self.low[places[alike]] == low[alike]
            places[alike] += 1
            alike = alike[places[alike] < len(self)]
            alike = alike[self.high[places[alike]] == high[alike]]
        return held

    def merged(self, other: _Run) -> _Run:
        """Return both runs as one."""
        places = np.searchsorted(self.high, other.high) + np.arange(len(other))
        ours = np.ones(len(self) + len(other), dtype=np.bool_)
        ours[places] = False

        def woven(own: NDArray[A], added: NDArray[A]) -> NDArray[A]:
            both = np.empty(ours.size, dtype=own.dtype)
            both[ours], both[places] = own, added
            return both

        return _Run.ordered(
            woven(self.high, other.high), woven(self.low, other.low), woven(self.days, other.days)
        )

    def since(self, day: int) -> _Run:
        """Return what was received on this day or later."""
        kept = self.days >= day
        if kept.all():
            return self
        return _Run.ordered(self.high[kept], self.low[kept], self.days[kept])


def _halves(digests: bytes) -> tuple[Words, Words]:
    """Return the (n,) first and second halves of digests laid end to end."""
    words = np.frombuffer(digests, dtype="<u8").reshape(-1, 2)
    return np.ascontiguousarray(words[:, 0]), words[:, 1]
