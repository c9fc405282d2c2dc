"""Columns of a catalog as filters use them, and how texts of items compare.

Whatever is asked of a text is decided once for each distinct text, then looked up by code.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import Mask, Rows, Seconds, entries_of, frozen, offsets_of, owners
from recsys.predicates.memory import MaskMemory
from recsys.predicates.values import UNKNOWN_TIME, Coded, CodedLists, ItemValues, Numbers

Truth: TypeAlias = Mask | np.bool_
"""One truth for all items, or one each."""

T = TypeVar("T")

_SEPARATOR = " > "


def path_of(text: str) -> str:
    """Return a category's path in one spelling: ` > ` between its parts, empty ones left out."""
    return _SEPARATOR.join(filter(None, map(str.strip, text.split(">"))))


def is_under(path: str, root: str) -> bool:
    """Return whether a path, in that spelling, is `root` or below it."""
    return path == root or path.startswith(root + _SEPARATOR)


@dataclass(frozen=True, slots=True)
class Texts:
    """One text an item, coded.

    key: of the column, unlike those of other columns of the catalog.
    codes: (n_items,) int32 places in `names`; 0 where unknown. names: may repeat.
    """

    key: tuple[str, str]
    codes: Rows
    names: Sequence[str]

    def where(self, holds: Callable[[str], bool]) -> Mask:
        """Return where a text is known and `holds`, which is asked once for each distinct text."""
        decided = np.fromiter(map(holds, self.names), np.bool_, len(self.names))
        decided[0] = False
        found: Mask = decided[self.codes]
        return found


@dataclass(frozen=True, slots=True)
class Lists:
    """A list of texts an item, coded.

    key: of the column, unlike those of other columns of the catalog.
    lengths: (n_items,) int64, 0 where unknown. owners: (n_entries,) int32 rows.
    codes: (n_entries,) int32 places in `names`. names: each once.
    """

    key: tuple[str, str]
    lengths: NDArray[np.int64]
    owners: Rows
    codes: Rows
    names: Sequence[str]


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of one catalog in the forms that filters need, each made once."""

    items: ItemValues
    memory: MaskMemory

    def once(self, kind: str, name: Hashable, compute: Callable[[], T]) -> T:
        """Return what was computed of the catalog for this kind and name, else compute it."""
        return self.memory.once(self.items, kind, name, compute)

    def times(self, name: str) -> Numbers:
        """Return (n_items,) seconds since 1970, NaN where unknown."""
        return self.once("times", name, lambda: _seconds(self.items.times(name)))

    def texts(self, name: str) -> Texts:
        """Return the texts as the shop wrote them."""
        coded = self.items.texts(name)
        return Texts(("texts", name), coded.codes, coded.names)

    def paths(self, name: str) -> Texts:
        """Return the texts as paths of categories."""
        coded = self.items.texts(name)
        return self.once("paths", name, lambda: _as_paths(name, coded))

    def folded(self, name: str) -> Texts:
        """Return the texts without the difference of small and capital letters."""
        written = self.texts(name)
        names = self.once("folded", name, lambda: list(map(str.casefold, written.names)))
        return Texts(("folded", name), written.codes, names)

    def lists(self, name: str) -> Lists:
        """Return the lists of texts, with the row of the item behind each entry."""
        coded = self.items.lists(name)
        behind = self.once("owners", name, lambda: frozen(owners(coded.offsets)))
        return Lists(("lists", name), np.diff(coded.offsets), behind, coded.codes, coded.names)

    def codes(self, named: Texts | Lists, wanted: Iterable[str], *, again: bool) -> Rows:
        """Return the codes of those of the wanted texts that a column has, ascending.

        again: whether others will be wanted of it, so that a dictionary is worth its room.
        """
        names, asked = named.names, set(wanted)
        if again and self.memory.most:
            places = self.once("places", named.key, lambda: _places_of(names))
            found = sorted(code for text in asked for code in places.get(text, ()))
        else:
            found = [code for code, text in enumerate(names) if text in asked]
        return np.array(found, dtype=np.int32)


def compared(left: str | Texts, right: str | Texts, holds: Callable[[str, str], bool]) -> Truth:
    """Return where both texts are known and `holds`, decided once for each distinct pair."""
    if isinstance(left, str):
        if isinstance(right, str):
            return np.bool_(left != "" and right != "" and holds(left, right))
        return right.where(lambda text: holds(left, text)) if left else np.bool_(False)
    if isinstance(right, str):
        return left.where(lambda text: holds(text, right)) if right else np.bool_(False)
    return _compared_in_pairs(left, right, holds)


def _compared_in_pairs(left: Texts, right: Texts, holds: Callable[[str, str], bool]) -> Mask:
    width = len(right.names)
    pairs, places = np.unique(left.codes * np.int64(width) + right.codes, return_inverse=True)
    firsts, seconds = np.divmod(pairs, width)
    decided = [
        first > 0 and second > 0 and holds(left.names[first], right.names[second])
        for first, second in zip(firsts.tolist(), seconds.tolist(), strict=True)
    ]
    found: Mask = np.array(decided, dtype=np.bool_)[places]
    return found


@dataclass(frozen=True, slots=True)
class Chosen:
    """The columns of some rows of a catalog only; distinct texts are those that they have.

    rows: (n,) int32, in any order, also more than once.
    """

    items: ItemValues
    rows: Rows

    @property
    def n_items(self) -> int:
        """How many rows were chosen."""
        return len(self.rows)

    def numbers(self, name: str) -> Numbers:
        """Return their quantities."""
        chosen: Numbers = self.items.numbers(name)[self.rows]
        return chosen

    def texts(self, name: str) -> Coded:
        """Return their texts."""
        coded = self.items.texts(name)
        return Coded(*_narrowed(coded.codes[self.rows], coded.names))

    def lists(self, name: str) -> CodedLists:
        """Return their lists."""
        lists = self.items.lists(name)
        entries = entries_of(lists.offsets, self.rows)
        offsets = offsets_of(np.diff(lists.offsets)[self.rows])
        return CodedLists(offsets, *_narrowed(lists.codes[entries], lists.names))

    def times(self, name: str) -> Seconds:
        """Return their times."""
        chosen: Seconds = self.items.times(name)[self.rows]
        return chosen

    def flags(self, name: str) -> Mask:
        """Return their flags."""
        chosen: Mask = self.items.flags(name)[self.rows]
        return chosen


def _narrowed(codes: Rows, names: Sequence[str]) -> tuple[Rows, list[str]]:
    """Return the codes among those names only that they use, and these."""
    used = np.union1d(codes, np.zeros(1, dtype=np.int32))
    return np.searchsorted(used, codes).astype(np.int32), [names[code] for code in used.tolist()]


def _seconds(times: Seconds) -> Numbers:
    seconds = times.astype(np.float64)
    seconds[times == UNKNOWN_TIME] = np.nan
    return frozen(seconds)


def _places_of(names: Sequence[str]) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for code, text in enumerate(names):
        places.setdefault(text, []).append(code)
    return places


def _as_paths(name: str, coded: Coded) -> Texts:
    """Return a column of categories in one spelling, in which several texts may become one."""
    places = {"": 0}
    codes = [places.setdefault(path_of(text), len(places)) for text in coded.names]
    paths = frozen(np.array(codes, dtype=np.int32)[coded.codes])
    return Texts(("paths", name), paths, list(places))
