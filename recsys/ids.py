"""Ids and rows: external strings on one side, positions in arrays on the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import NewType, Self

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import Offsets, Rows, frozen, offsets_of
from recsys.errors import InvalidInput

UserId = NewType("UserId", str)
ItemId = NewType("ItemId", str)

MAX_ID_BYTES = 128
"""Longest id of anything, in UTF-8 bytes."""

UNKNOWN_ROW = -1


@dataclass(frozen=True, slots=True)
class Strings:
    """A read-only column of text, as UTF-8 bytes laid end to end; it can be memory-mapped.

    data: (n_bytes,) uint8.
    offsets: (n + 1,) int64 bounds of each string in `data`.
    """

    data: NDArray[np.uint8]
    offsets: Offsets

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """Return the column of these texts, in order."""
        encoded = [text.encode() for text in texts]
        lengths = np.fromiter((len(raw) for raw in encoded), dtype=np.int64, count=len(encoded))
        data = np.frombuffer(b"".join(encoded), dtype=np.uint8)
        return cls(data, frozen(offsets_of(lengths)))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> str:
        return self.data[self.offsets[row] : self.offsets[row + 1]].tobytes().decode()

    def take(self, rows: Rows) -> list[str]:
        """Return the texts at these rows."""
        return [self[row] for row in rows.tolist()]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Item ids and their rows. Append-only: an id keeps its row for good.

    Look-up goes through sorted 64-bit hashes, so that workers share the memory-mapped arrays
    instead of each building a dictionary.

    ids: (n_items,) texts; row i is item number i.
    hashes: (n_items,) uint64, ascending.
    order: (n_items,) int32, the row behind each hash.
    """

    ids: Strings
    hashes: NDArray[np.uint64]
    order: Rows

    @classmethod
    def of(cls, ids: Sequence[str]) -> Self:
        """Return the vocabulary of these distinct ids, in order. Raises ValueError on a repeat."""
        if len(set(ids)) != len(ids):
            raise ValueError("an id stands in the vocabulary twice")
        hashes = hashes_of(ids)
        order = np.argsort(hashes, kind="stable").astype(np.int32)
        return cls(Strings.of(ids), frozen(hashes[order]), frozen(order))

    def __len__(self) -> int:
        return len(self.ids)

    def id(self, row: int) -> ItemId:
        """Return the id at a row."""
        return ItemId(self.ids[row])

    def rows(self, ids: Sequence[str]) -> Rows:
        """Return the row of each id, `UNKNOWN_ROW` where it has none."""
        wanted = hashes_of(ids)
        first = np.searchsorted(self.hashes, wanted)
        return np.fromiter(
            (
                self._row(text, hashed, place)
                for text, hashed, place in zip(ids, wanted, first, strict=True)
            ),
            dtype=np.int32,
            count=len(ids),
        )

    def _row(self, text: str, hashed: np.uint64, place: int) -> int:
        while place < len(self.hashes) and self.hashes[place] == hashed:
            row = int(self.order[place])
            if self.ids[row] == text:
                return row
            place += 1  # two ids of one hash: about once in 10^8 vocabularies of a million
        return UNKNOWN_ROW


def check_id(field_name: str, text: str) -> None:
    """Raise InvalidInput unless the text is an id: 1 to 128 bytes of printable UTF-8."""
    check_text(field_name, text, MAX_ID_BYTES)


def check_text(field_name: str, text: str, most_bytes: int) -> None:
    """Raise InvalidInput unless the text is 1 to `most_bytes` bytes of printable UTF-8."""
    if not (
        text.isprintable() and text and (len(text) * 4 <= most_bytes or _fits(text, most_bytes))
    ):
        raise InvalidInput(field_name, text[:64], f"1 to {most_bytes} bytes of printable text")


def _fits(text: str, most_bytes: int) -> bool:
    return len(text.encode("utf-8", "surrogatepass")) <= most_bytes


def hashes_of(ids: Sequence[str]) -> NDArray[np.uint64]:
    """Return a stable 64-bit hash of each id (BLAKE2b, RFC 7693)."""
    digests = b"".join(blake2b(text.encode(), digest_size=8).digest() for text in ids)
    return np.frombuffer(digests, dtype=">u8").astype(np.uint64)
