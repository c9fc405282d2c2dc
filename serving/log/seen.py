"""Which events a log holds: every id of the last days, exactly, in about 30 bytes each."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import Mask
from serving.log.records import DIGEST_BYTES, split_digests

DAYS_REMEMBERED = 7
"""Days, beside the present one, for which an event id is known."""

_FEW_BYTES = 50 * DIGEST_BYTES
_MOST_RECENT = 5_000
_FEWEST_BITS = 10
_MOST_BITS = 22
_PIECE = 10_000  # so many that the arrays at work fit the processor's cache
_SINCE = (
    "SELECT last, day, digests FROM digests WHERE last > ? AND day >= ? ORDER BY last LIMIT 100"
)

Words = NDArray[np.uint64]
"""(n, 2) the first and the second halves of digests."""


class Connection(Protocol):
    """What answers SQL."""

    def execute(self, sql: str, values: tuple[int, ...]) -> Iterable[tuple[int, int, bytes]]:
        """Return the rows of a query."""
        ...


class Seen:
    """The digests of all events of one log, as far as one process has read or written them.

    Many at once go to the last of the tables. A full table is copied into one twice as large, until
    it has the greatest size: then it stays, and a small one is begun. So there are few tables, and
    no copy is large. Where few come at a time, they wait in a set until they are many, as each use
    of an array costs the same for one as for a hundred. What is added waits until it is asked for,
    or there is time: whoever waits for an append need not wait for that.
    """

    def __init__(self) -> None:
        self._recent: set[bytes] = set()
        self._recent_day = 0
        self._tables = [_Table(0)]
        self._last = 0
        self._first_day = 0
        self._added: list[tuple[bytes, int]] = []

    def __len__(self) -> int:
        self.take_in()
        return len(self._recent) + sum(len(table) for table in self._tables)

    def catch_up(self, connection: Connection) -> None:
        """Read what was committed since the last time; inside a transaction nothing is missed."""
        while rows := list(connection.execute(_SINCE, (self._last, self._first_day))):
            for day, of_day in groupby(rows, key=itemgetter(1)):
                self._remember(b"".join([digests for _, _, digests in of_day]), day)
            self._last = rows[-1][0]

    def add(self, digests: bytes, *, day: int, last: int) -> None:
        """Note digests, end to end, that were committed just now up to the position `last`."""
        self._added.append((digests, day))
        self._last = last

    def take_in(self) -> None:
        """Remember what was added; everything else here does that first."""
        while self._added:
            self._remember(*self._added[0])
            del self._added[0]

    def known(self, digests: bytes) -> Mask:
        """Return which of the digests, laid end to end, are remembered or stood there before."""
        self.take_in()
        words = _words(digests)
        known = _repeated(words)
        for table in self._tables:
            known |= table.held(words)
        if self._recent:
            single = split_digests(digests)
            if not self._recent.isdisjoint(single):
                known |= [one in self._recent for one in single]
        return known

    def forget(self, before_day: int) -> None:
        """Forget the events received before this day (days since 1970)."""
        if before_day > self._first_day:
            self.take_in()
            self._first_day = before_day
            self._settle()
            kept = [table.since(before_day) for table in self._tables]
            self._tables = [table for table in kept if len(table)] or [_Table(0)]

    def _remember(self, digests: bytes, day: int) -> None:
        few = len(digests) <= _FEW_BYTES
        if not few or day != self._recent_day or len(self._recent) > _MOST_RECENT:
            self._settle()
        if few:
            self._recent_day = day
            self._recent.update(split_digests(digests))
        else:
            self._store(digests, day)

    def _settle(self) -> None:
        """Move the recent ones to the tables, all at once."""
        if self._recent:
            self._store(b"".join(self._recent), self._recent_day)
            self._recent = set()

    def _store(self, digests: bytes, day: int) -> None:
        words = _words(digests)
        days = np.full(len(words), day, dtype=np.uint16)
        if len(words) > self._tables[-1].n_free:
            self._make_room(len(words))
        self._tables[-1].add(words, days)

    def _make_room(self, n_digests: int) -> None:
        full = self._tables[-1]
        n_both = len(full) + n_digests
        if n_both < 1 << _MOST_BITS:
            self._tables[-1] = _Table(n_both)
            self._tables[-1].add(full.words, full.days)
        else:
            self._tables.append(_Table(n_digests))


class _Table:
    """A hash table with chains, in arrays: digests in the order in which they came.

    A place is the number of a digest here, from 1 on; 0 stands for none.
    newest: the newest place for each beginning of so many bits that a first half may have.
    previous: of each place, the next older one with the same beginning.
    """

    def __init__(self, n_digests: int) -> None:
        """Make an empty table with room for so many digests, and up to twice that."""
        bits = max(_FEWEST_BITS, n_digests.bit_length())
        self._n = 0
        self._shift = np.uint64(64 - bits)
        self._newest = np.zeros(1 << bits, dtype=np.uint32)
        self._previous = np.empty(1 << bits, dtype=np.uint32)
        self._words = np.empty((1 << bits, 2), dtype=np.uint64)
        self._high, self._low = self._words.T
        self._days = np.empty(1 << bits, dtype=np.uint16)

    def __len__(self) -> int:
        return self._n

    @property
    def n_free(self) -> int:
        """How many digests there is room for."""
        return self._days.size - 1 - self._n

    @property
    def words(self) -> Words:
        """The (n, 2) halves of the digests."""
        return self._words[1 : self._n + 1]

    @property
    def days(self) -> NDArray[np.uint16]:
        """The (n,) days since 1970 when they were received."""
        return self._days[1 : self._n + 1]

    def add(self, words: Words, days: NDArray[np.uint16]) -> None:
        """Add digests that are not here; there must be room."""
        start, stop = self._n + 1, self._n + 1 + len(words)
        self._words[start:stop] = words
        self._days[start:stop] = days
        self._n += len(words)
        for piece in range(start, stop, _PIECE):
            self._chain(np.arange(piece, min(piece + _PIECE, stop), dtype=np.uint32))

    def _chain(self, places: NDArray[np.uint32]) -> None:
        """Put places at the fronts of their chains."""
        beginnings = self._high[places] >> self._shift
        while places.size:
            self._previous[places] = self._newest[beginnings]
            self._newest[beginnings] = places
            left = self._newest[beginnings] != places  # of those with one beginning, one got in
            places, beginnings = places[left], beginnings[left]

    def held(self, words: Words) -> Mask:
        """Return which of (m,) digests are here, walking all chains at once."""
        held = np.zeros(len(words), dtype=np.bool_)
        high, low = words.T
        places = self._newest[high >> self._shift]
        asked = places.nonzero()[0]
        places = places[asked]
        while asked.size:
            alike = (self._high[places] == high[asked]).nonzero()[0]
            if alike.size:
                same = self._low[places[alike]] == low[asked[alike]]
                held[asked[alike[same]]] = True
            places = self._previous[places]
            older = places.nonzero()[0]
            asked, places = asked[older], places[older]
        return held

    def since(self, day: int) -> _Table:
        """Return what was received on this day or later."""
        kept = self.days >= day
        if kept.all():
            return self
        table = _Table(int(np.count_nonzero(kept)))
        table.add(self.words[kept], self.days[kept])
        return table


def _words(digests: bytes) -> Words:
    """Return the (n, 2) halves of digests laid end to end."""
    return np.frombuffer(digests, dtype="<u8").reshape(-1, 2)


def _repeated(words: Words) -> Mask:
    """Return which digests stand before among these."""
    repeated = np.zeros(len(words), dtype=np.bool_)
    if len(words) < 2:
        return repeated
    high = np.sort(words[:, 0])
    if (high[1:] == high[:-1]).any():  # hardly ever, so that only now it is worth being exact
        order = np.lexsort((words[:, 1], words[:, 0]))
        repeated[order[1:]] = (words[order[1:]] == words[order[:-1]]).all(axis=1)
    return repeated
