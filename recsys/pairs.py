"""Pairs: the distinct names and values of attributes, each pair under a code of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import Mask, Rows, frozen
from recsys.ids import UNKNOWN_ROW, Strings, Vocabulary, hashes_of
from recsys.texts import Texts

Numbers = NDArray[np.float64]
"""Values as numbers; NaN for those that are none."""

Pair = tuple[str, str]
"""The name and the value of an attribute."""

MOST_DIGITS = 15
"""A value of more digits is no number: two of them could be the same one in 64 bits."""

FEW_NEWER = 50_000
"""As many pairs may come later before anyone looks whether they are still in use."""

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Pairs:
    """Distinct pairs of an attribute's name and value; a pair keeps its code until `trimmed`.

    The pairs that were there first are laid name by name; those that came later follow as they
    came. They are looked up through sorted hashes, as items are (`recsys.ids.Vocabulary`).

    names: of attributes. values: (n_pairs,) texts. numbers: (n_pairs,) float64, see `number_of`.
    of_names: (n_pairs,) int32, the place of each pair's name in `names`.
    hashes: (n_first,) uint64, ascending. order: (n_first,) int32, the code behind each hash.
    newer: codes of the pairs that came later. n_kept: how many of those were used when last seen.
    """

    names: Vocabulary
    of_names: Rows
    values: Strings
    numbers: Numbers
    hashes: NDArray[np.uint64]
    order: Rows
    newer: Mapping[Pair, int] = field(default_factory=dict)
    n_kept: int = 0

    @classmethod
    def of(cls, pairs: Sequence[Pair]) -> tuple[Self, Rows]:
        """Return these distinct pairs, and the code of each."""
        names = sorted({name for name, _ in pairs})
        place = {name: number for number, name in enumerate(names)}
        of_names = np.fromiter((place[name] for name, _ in pairs), np.int32, len(pairs))
        by_name = np.argsort(of_names, kind="stable")
        laid = [pairs[one] for one in by_name.tolist()]
        codes = np.empty(len(pairs), dtype=np.int32)
        codes[by_name] = np.arange(len(pairs), dtype=np.int32)
        hashes = _hashes(laid)
        order = np.argsort(hashes, kind="stable").astype(np.int32)
        found = cls(
            Vocabulary.of(names),
            frozen(of_names[by_name]),
            Strings.of([value for _, value in laid]),
            frozen(_numbers(laid)),
            frozen(hashes[order]),
            frozen(order),
        )
        return found, codes

    def __len__(self) -> int:
        return len(self.of_names)

    def placed(self, pairs: Iterable[Pair]) -> tuple[Self, Rows]:
        """Return the pairs with those among these that are new, and the code of each of these."""
        every = list(pairs)
        distinct = list(dict.fromkeys(every))
        codes = dict(zip(distinct, self._codes(distinct), strict=True))
        new = [pair for pair, code in codes.items() if code == UNKNOWN_ROW]
        codes.update({pair: len(self) + place for place, pair in enumerate(new)})
        found = np.fromiter((codes[pair] for pair in every), np.int32, len(every))
        return (self._with(new) if new else self), found

    @property
    def crowded(self) -> bool:
        """Whether so many pairs came later that most of them may be out of use."""
        return len(self.newer) > 2 * max(self.n_kept, FEW_NEWER)

    def trimmed(self, codes: Rows) -> tuple[Self, Rows]:
        """Return the pairs without later ones that none of these codes is of, and the codes then.

        Else a value that changes all day, such as a count, would fill the memory.
        """
        used = np.zeros(len(self), dtype=np.bool_)
        used[: len(self.hashes)] = True
        used[codes] = True
        places = (np.cumsum(used) - 1).astype(np.int32)
        newer = {pair: int(places[code]) for pair, code in self.newer.items() if used[code]}
        first = Strings(self.values.data, self.values.offsets)
        values = {code: value for (_, value), code in newer.items()}
        pairs = replace(
            self,
            of_names=frozen(self.of_names[used]),
            values=first.patched(values, int(used.sum())),
            numbers=frozen(self.numbers[used]),
            newer=newer,
            n_kept=len(newer),
        )
        return pairs, frozen(places[codes])

    def of_name(self, name: str) -> NamedPairs:
        """Return the pairs of one attribute; none of one that is not known."""
        place = int(self.names.rows([name])[0])
        n_first = len(self.hashes)
        if place == UNKNOWN_ROW:
            return NamedPairs(0, 0, n_first, frozen(np.empty(0, dtype=np.int32)))
        first, last = np.searchsorted(self.of_names[:n_first], (place, place + 1)).tolist()
        behind = np.flatnonzero(self.of_names[n_first:] == place) + n_first
        return NamedPairs(first, last, n_first, frozen(behind.astype(np.int32)))

    def _codes(self, pairs: Sequence[Pair]) -> list[int]:
        """Return the code of each of these distinct pairs, `UNKNOWN_ROW` where it has none."""
        hashes = _hashes(pairs)
        places = np.searchsorted(self.hashes, hashes).tolist()
        names = self.names.rows([name for name, _ in pairs]).tolist()
        return [self._code(*one) for one in zip(pairs, names, hashes.tolist(), places, strict=True)]

    def _code(self, pair: Pair, name: int, hashed: int, place: int) -> int:
        while place < len(self.hashes) and int(self.hashes[place]) == hashed:
            code = int(self.order[place])
            if int(self.of_names[code]) == name and self.values[code] == pair[1]:
                return code
            place += 1  # two pairs of one hash
        return self.newer.get(pair, UNKNOWN_ROW)

    def _with(self, new: Sequence[Pair]) -> Self:
        first, n_pairs = len(self), len(self) + len(new)
        known = self.names.rows(names := list(dict.fromkeys(name for name, _ in new)))
        unknown = [name for name, row in zip(names, known, strict=True) if row == UNKNOWN_ROW]
        vocabulary = self.names.grown(
            dict(enumerate(unknown, len(self.names))), len(self.names) + len(unknown)
        )
        of_names = vocabulary.rows([name for name, _ in new])
        values = {first + place: value for place, (_, value) in enumerate(new)}
        return replace(
            self,
            names=vocabulary,
            of_names=_joined(self.of_names, of_names),
            values=self.values.patched(values, n_pairs),
            numbers=_joined(self.numbers, _numbers(new)),
            newer={**self.newer, **{pair: first + place for place, pair in enumerate(new)}},
        )


@dataclass(frozen=True, slots=True)
class NamedPairs:
    """Where the pairs of one attribute stand, in the order in which they came.

    first, last: bounds of those that were there first, among `n_first` of all attributes.
    behind: (n,) int32 codes of those that came later, ascending.
    """

    first: int
    last: int
    n_first: int
    behind: Rows

    def __len__(self) -> int:
        return self.last - self.first + len(self.behind)

    def chosen(self, codes: Rows) -> Mask:
        """Return (n,) which of these codes are of pairs of the attribute."""
        chosen: Mask = (codes >= self.first) & (codes < self.last)
        if len(self.behind):
            late = np.flatnonzero(codes >= self.n_first)
            chosen[late] = np.isin(codes[late], self.behind)
        return chosen

    def places(self, codes: Rows) -> Rows:
        """Return the places of these (n,) codes of the attribute's pairs among those, from 1."""
        n_behind = 1 + self.last - self.first
        places = codes - np.int32(self.first - 1)
        late = np.flatnonzero(codes >= self.n_first)
        places[late] = np.searchsorted(self.behind, codes[late]) + n_behind
        return places

    def values(self, pairs: Pairs) -> Texts:
        """Return the attribute's values, by place; place 0 is the empty text."""
        texts = pairs.values.take(self.behind)
        patches = dict(enumerate(texts, self.last - self.first))
        bounds = pairs.values.offsets[self.first : self.last + 1]
        return Texts(Strings(pairs.values.data, bounds, patches, len(texts)), 1)

    def numbers(self, pairs: Pairs) -> Numbers:
        """Return the attribute's values as numbers, by place; NaN at place 0."""
        first = pairs.numbers[self.first : self.last]
        return np.concatenate(([np.nan], first, pairs.numbers[self.behind]))


def number_of(value: str) -> float:
    """Return a decimal number such as `12`, `1.5` or `-3`; NaN for anything else."""
    if len(value) > MOST_DIGITS + 2 or not _NUMBER.fullmatch(value):
        return np.nan
    n_digits = len(value) - value.count("-") - value.count(".")
    return float(value) if n_digits <= MOST_DIGITS else np.nan


def _numbers(pairs: Sequence[Pair]) -> Numbers:
    return np.fromiter((number_of(value) for _, value in pairs), np.float64, len(pairs))


def _hashes(pairs: Sequence[Pair]) -> NDArray[np.uint64]:
    # No name holds NUL, so no two pairs are the same text.
    return hashes_of([f"{name}\0{value}" for name, value in pairs])


def _joined(first: NDArray[Any], second: NDArray[Any]) -> NDArray[Any]:
    return frozen(np.concatenate((first, second)))
