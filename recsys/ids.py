"""Ids and rows: external strings on one side, positions in arrays on the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from itertools import pairwise
from typing import NewType, Self

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import Mask, Offsets, Rows, frozen, offsets_of
from recsys.errors import InvalidInput

UserId = NewType("UserId", str)
ItemId = NewType("ItemId", str)

MAX_ID_BYTES = 128
MOST_MARKET_BYTES = 32
"""Longest id of anything, in UTF-8 bytes."""

UNKNOWN_ROW = -1


@dataclass(frozen=True, slots=True)
class Strings:
    """A read-only column of text, as UTF-8 bytes laid end to end; it can be memory-mapped.

    data: (n_bytes,) uint8.
    offsets: (n + 1,) int64 bounds of each string in `data`.
    patches: texts that stand instead of those in `data`, or behind them, by row.
    n_more: rows behind those of `data`; empty where no patch says otherwise.
    """

    data: NDArray[np.uint8]
    offsets: Offsets
    patches: Mapping[int, str] = field(default_factory=dict)
    n_more: int = 0

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """Return the column of these texts, in order."""
        encoded = [text.encode() for text in texts]
        lengths = np.fromiter((len(raw) for raw in encoded), dtype=np.int64, count=len(encoded))
        data = np.frombuffer(b"".join(encoded), dtype=np.uint8)
        return cls(data, frozen(offsets_of(lengths)))

    def __len__(self) -> int:
        return len(self.offsets) - 1 + self.n_more

    def __getitem__(self, row: int) -> str:
        if self.patches and (patch := self.patches.get(row)) is not None:
            return patch
        if self.n_more and len(self.offsets) - 1 <= row < len(self):
            return ""
        return self.data[self.offsets[row] : self.offsets[row + 1]].tobytes().decode()

    def __iter__(self) -> Iterator[str]:
        first, last = self.offsets[0], self.offsets[-1]
        raw = self.data[first:last].tobytes()
        bounds = (self.offsets - first).tolist()
        texts = [raw[start:end].decode() for start, end in pairwise(bounds)]
        texts += [""] * self.n_more
        for row, text in self.patches.items():
            texts[row] = text
        return iter(texts)

    def take(self, rows: Rows) -> list[str]:
        """Return the texts at these rows."""
        return [self[row] for row in rows.tolist()]

    def empty(self) -> Mask:
        """Return (n,) where the text is empty."""
        empty = np.ones(len(self), dtype=np.bool_)
        np.equal(self.offsets[1:], self.offsets[:-1], out=empty[: len(self.offsets) - 1])
        rows = np.fromiter(self.patches, np.int64, len(self.patches))
        empty[rows] = [not text for text in self.patches.values()]
        return empty

    def patched(self, texts: Mapping[int, str], n: int) -> Self:
        """Return the column of `n` texts, no fewer than now, in which these rows hold these.

        A text that `data` holds anyway is kept there alone.
        """
        n_more = n - len(self.offsets) + 1
        new = {row: text for row, text in texts.items() if row >= len(self) or text != self[row]}
        if not new:
            return self if n_more == self.n_more else replace(self, n_more=n_more)
        plain = replace(self, patches={}, n_more=n_more)
        every = {**self.patches, **new}
        for row, text in new.items():
            if text == plain[row]:
                del every[row]
        return replace(plain, patches=every)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Item ids and their rows. Append-only: an id keeps its row for good.

    Look-up goes through sorted 64-bit hashes, so that workers share the memory-mapped arrays
    instead of each building a dictionary.

    ids: (n_items,) texts; row i is item number i.
    hashes: (n_items,) uint64, ascending.
    order: (n_items,) int32, the row behind each hash.
    newer: rows of ids that came later, and have no place among the hashes.
    """

    ids: Strings
    hashes: NDArray[np.uint64]
    order: Rows
    newer: Mapping[str, int] = field(default_factory=dict)

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

    def grown(self, ids: Mapping[int, str], n_items: int) -> Self:
        """Return the vocabulary of `n_items` rows, in which these new rows have these ids.

        A row between them that nobody named has an empty id, and no id leads to it.
        """
        if not ids and n_items == len(self):
            return self
        newer = {**self.newer, **{text: row for row, text in ids.items()}}
        return replace(self, ids=self.ids.patched(ids, n_items), newer=newer)

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
        return self.newer.get(text, UNKNOWN_ROW)


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
