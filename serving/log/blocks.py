"""Blocks: runs of consecutive records, as one row of the log's table keeps each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from recsys.arrays import Rows
from recsys.events import Record
from serving.log.records import NEWLINE, Lines, decode, instant

MOST_RECORDS = 10_000


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive records of one kind from one commit; the fields are the table's columns.

    first, last: positions of the first and the last record.
    received: when the appending process took them, microseconds since 1970.
    item_rows: int32 of each record, little-endian; -1 for an event without an item.
    payload: JSON of each fact, one a line.
    """

    last: int
    first: int
    kind: str
    received: int
    item_rows: bytes
    payload: bytes

    def __len__(self) -> int:
        return self.last - self.first + 1

    def rows(self) -> Rows:
        """Return the (n,) item rows."""
        return np.frombuffer(self.item_rows, dtype="<i4")

    def within(self, after: int, through: int) -> Block:
        """Return the part with after < position <= through; there must be one."""
        if after < self.first and self.last <= through:
            return self
        first, last = max(self.first, after + 1), min(self.last, through)
        cut = slice(first - self.first, last - self.first + 1)
        rows = self.item_rows[cut.start * 4 : cut.stop * 4]
        payload = NEWLINE.join(self.payload.split(NEWLINE)[cut])
        return Block(last, first, self.kind, self.received, rows, payload)

    def records(self) -> list[Record]:
        """Return the records, decoded."""
        received = instant(self.received)
        return [
            Record(decode(self.kind, line), position, item_row, received)
            for position, item_row, line in zip(
                range(self.first, self.last + 1),
                self.rows().tolist(),
                self.payload.split(NEWLINE),
                strict=True,
            )
        ]


def blocks_of(
    lines: Lines, item_rows: Sequence[int], *, first: int, received: int
) -> Iterator[Block]:
    """Yield the blocks of lines that get the positions from `first` on."""
    rows = np.array(item_rows, dtype="<i4")
    whole = Block(first + len(lines) - 1, first, "", received, rows.tobytes(), lines.payload)
    for kind, start, stop in _runs(lines.kinds):
        yield replace(whole.within(first + start - 1, first + stop - 1), kind=kind)


def _runs(kinds: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """Yield kind, start and stop of each run of one kind, at most MOST_RECORDS long."""
    start = 0
    for kind, run in _grouped(kinds):
        stop = start + run
        for piece in range(start, stop, MOST_RECORDS):
            yield kind, piece, min(piece + MOST_RECORDS, stop)
        start = stop


def _grouped(kinds: Sequence[str]) -> list[tuple[str, int]]:
    """Return each kind with how often it stands in a row; nearly always there is one."""
    if kinds and kinds.count(kinds[0]) == len(kinds):
        return [(kinds[0], len(kinds))]
    return [(kind, sum(1 for _ in run)) for kind, run in groupby(kinds)]
