"""Texts: a column of text, such as a bundle maps, as a sequence of names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import overload

from recsys.ids import Strings


@dataclass(frozen=True, slots=True, eq=False)
class Texts(Sequence[str]):
    """The texts of a column, behind as many empty ones as `n_before` says."""

    column: Strings
    n_before: int = 0

    def __len__(self) -> int:
        return len(self.column) + self.n_before

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> list[str]: ...

    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [self[one] for one in range(len(self))[place]]
        place = range(len(self))[place]
        return self.column[place - self.n_before] if place >= self.n_before else ""

    def __iter__(self) -> Iterator[str]:
        return chain(repeat("", self.n_before), self.column)
