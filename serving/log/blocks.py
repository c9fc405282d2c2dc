"""Blocks: runs of consecutive events, as one row of the log's table keeps each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from recsys.arrays import Rows
from recsys.events import Record
from serving.log.records import NEWLINE, Lines, decode, instant

MOST_RECORDS = 10_000


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive events of one commit; the fields are the table's columns.

    first, last: positions of the first and the last event.
    received: when the appending process took them, microseconds since 1970.
    item_rows: int32 of each event, little-endian; -1 for one without an item.
    payload: JSON of each event, one a line.
    """

    last: int
    first: int
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
        return Block(last, first, self.received, rows, payload)

    def records(self) -> list[Record]:
        """Return the records, decoded."""
        received = instant(self.received)
        return [
            Record(decode(line), position, item_row, received)
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
    rows = np.array(item_rows, dtype="<i4").tobytes()
    end = first + len(lines)
    whole = Block(end - 1, first, received, rows, lines.payload)
    for start in range(first, end, MOST_RECORDS):
        yield whole.within(start - 1, min(start + MOST_RECORDS, end) - 1)
