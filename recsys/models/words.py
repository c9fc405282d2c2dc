"""Words: which items have which word, to find what somebody searches for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import (
    Mask,
    Offsets,
    Rows,
    Scores,
    entries_of,
    frozen,
    keys_of,
    offsets_of,
    owners_of,
    rows_of,
)

LONGEST = 24
"""Letters of a word that count."""
MOST_WORDS = 12
"""Words of a search that count, the first ones."""
BEGINS = np.float32(0.7)
"""What a word that only begins as the one searched for counts beside that word itself."""
NEARLY = np.float32(0.5)
"""What a word that differs in one letter counts, where no item has the word itself."""
MOST_OTHER_LETTERS = 2
"""Kinds of letters that words one edit apart may not have in common: one for the other."""
SHORTEST_BEGINNING = 2
SHORTEST_NEAR = 4

_WORD = re.compile(r"[^\W_]+")

Table = NDArray[np.str_]
Codes = NDArray[np.uint32]
Letters = NDArray[np.uint64]


def words_of(text: str) -> list[str]:
    """Return the words of a text in their order, without capitals and accents."""
    folded = text.casefold()
    if not folded.isascii():
        parts = unicodedata.normalize("NFKD", folded)
        folded = "".join(part for part in parts if not unicodedata.combining(part))
    return [word[:LONGEST] for word in _WORD.findall(folded)]


@dataclass(frozen=True, slots=True)
class Spoken:
    """The words of some texts, by text.

    offsets: (n_texts + 1,) int64 bounds. words: (n,) int32 places in a dictionary of words.
    """

    offsets: Offsets
    words: Rows

    @classmethod
    def of(cls, texts: Iterable[str], dictionary: dict[str, int]) -> Self:
        """Return the words of these texts; those that are new go into the dictionary."""
        lengths: list[int] = []
        found: list[int] = []
        for text in texts:
            own = words_of(text)
            lengths.append(len(own))
            found += [dictionary.setdefault(word, len(dictionary)) for word in own]
        return cls(offsets_of(np.array(lengths, dtype=np.int64)), np.array(found, dtype=np.int32))

    def by(self, items: Rows, texts: Rows) -> tuple[Rows, Rows]:
        """Return (n,) pairs of item and word, of items that have these (m,) texts."""
        lengths = (self.offsets[texts + 1] - self.offsets[texts]).astype(np.int64)
        return np.repeat(items, lengths), self.words[entries_of(self.offsets, texts)]


@dataclass(frozen=True, slots=True)
class Postings:
    """The items of each word.

    words: (n_words,) texts, ascending. letters: (n_words,) uint64, which letters each has, as bits.
    offsets: (n_words + 1,) int64 bounds. items: (n,) int32 rows, ascending within a word, each
        once.
    """

    words: Table
    letters: Letters
    offsets: Offsets
    items: Rows

    @classmethod
    def of(cls, pairs: Sequence[tuple[Rows, Rows]], dictionary: dict[str, int]) -> Self:
        """Return the postings of pairs of item and word, the word's place in the dictionary."""
        texts: Table = np.array(list(dictionary), dtype=f"<U{LONGEST}")
        order = np.argsort(texts)
        ranks = np.empty(len(order), dtype=np.int32)
        ranks[order] = np.arange(len(order), dtype=np.int32)
        items = np.concatenate([items for items, _ in pairs])
        words = ranks[np.concatenate([words for _, words in pairs])]
        keys = np.unique(keys_of(words, items))
        counts = np.bincount(owners_of(keys), minlength=len(texts))
        sorted_texts = frozen(texts[order])
        return cls(
            sorted_texts,
            frozen(_letters_of(_codes_of(sorted_texts))),
            frozen(offsets_of(counts)),
            frozen(rows_of(keys)),
        )

    def exactly(self, word: str) -> Rows:
        """Return the places of a word: one, or none."""
        place = int(np.searchsorted(self.words, word))
        found = place < len(self.words) and self.words[place] == word
        return np.array([place] if found else [], dtype=np.int32)

    def beginning(self, word: str) -> Rows:
        """Return the places of longer words that begin as this one."""
        first = int(np.searchsorted(self.words, word, side="right"))
        last = int(np.searchsorted(self.words, word + "\U0010ffff"))
        return np.arange(first, last, dtype=np.int32)

    def near(self, word: str) -> Rows:
        """Return the places of words that one letter more, less, else, or swapped makes of it."""
        asked = _codes_of(np.array([word], dtype=f"<U{LONGEST}"))
        others = np.bitwise_count(self.letters ^ _letters_of(asked)[0])
        close = np.flatnonzero(others <= MOST_OTHER_LETTERS)
        more = np.char.str_len(self.words[close]) - len(word)
        places = close[_one_step_away(_codes_of(self.words[close]), asked[0], more)]
        return places.astype(np.int32)

    def items_of(self, places: Rows) -> Rows:
        """Return the items of these words, word by word."""
        return self.items[entries_of(self.offsets, places)]


@dataclass(frozen=True, slots=True)
class WordIndex:
    """Finds items by words: those that were there first, and those that changed since.

    first, later: of items as they were, and of those that are otherwise now.
    changed: (n_items,) bool, items of which `first` says what is no longer true.
    """

    first: Postings
    later: Postings
    changed: Mask

    def matching(self, text: str) -> tuple[Rows, Scores]:
        """Return the items that have words of a text, ascending, and how well they match.

        A word counts by how rare it is among the items, ln(1 + n_items / n_matching) (Robertson
        and Sparck Jones 1976, without relevance); in full where an item has it, less where it has
        one that begins as it, or, where no item has any of these, one that is misspelt.
        """
        rows, scores = [np.empty(0, dtype=np.int32)], [np.empty(0, dtype=np.float32)]
        for word in list(dict.fromkeys(words_of(text)))[:MOST_WORDS]:
            items, shares = self._having(word)
            rarity = np.log1p(np.float32(len(self.changed) / max(len(items), 1)))
            rows.append(items)
            scores.append(shares * rarity)
        every = np.concatenate(rows)
        items, places = np.unique(every, return_inverse=True)
        totals = np.bincount(places, weights=np.concatenate(scores), minlength=len(items))
        return items.astype(np.int32), totals.astype(np.float32)

    def _having(self, word: str) -> tuple[Rows, Scores]:
        """Return the items that match one word, each once, and how much that counts."""
        exact = self._items([part.exactly(word) for part in self._parts])
        longer = exact[:0]
        if len(word) >= SHORTEST_BEGINNING:
            longer = self._items([part.beginning(word) for part in self._parts])
        near = exact[:0]
        if len(word) >= SHORTEST_NEAR and not len(exact) and not len(longer):
            near = self._items([part.near(word) for part in self._parts])
        every = np.concatenate((exact, longer, near))
        shares = np.repeat(
            np.array([1, BEGINS, NEARLY], dtype=np.float32), [len(exact), len(longer), len(near)]
        )
        items, best = np.unique(every, return_index=True)  # the first is the one that counts most
        return items, shares[best]

    @property
    def _parts(self) -> tuple[Postings, Postings]:
        return self.first, self.later

    def _items(self, places: Sequence[Rows]) -> Rows:
        """Return the items of words at these places of each part, as they are now."""
        old = self.first.items_of(places[0])
        return np.concatenate((old[~self.changed[old]], self.later.items_of(places[1])))


def _codes_of(words: Table) -> Codes:
    """Return the (n, LONGEST) code points of the letters, 0 behind the last."""
    return np.ascontiguousarray(words).view(np.uint32).reshape(len(words), LONGEST)


def _letters_of(codes: Codes) -> Letters:
    """Return (n,) which letters words have, letters that share a bit taken together."""
    bits = np.uint64(1) << (codes % np.uint32(64)).astype(np.uint64)
    found: Letters = np.bitwise_or.reduce(np.where(codes > 0, bits, np.uint64(0)), axis=1)
    return found


def _one_step_away(codes: Codes, asked: Codes, more: NDArray[np.int64]) -> Mask:
    """Return which (n, LONGEST) words are one edit away (Damerau 1964).

    more: (n,) letters, -1 to 1, that each has more than the word asked for.
    """
    same = codes == asked
    differing = LONGEST - same.sum(axis=1)
    ahead = np.where(same.all(axis=1), LONGEST, same.argmin(axis=1))  # letters alike from the left
    places = np.arange(LONGEST)
    swapped = np.take_along_axis(
        codes, np.minimum(np.stack((ahead + 1, ahead), axis=1), LONGEST - 1), axis=1
    )
    wanted = asked[np.minimum(np.stack((ahead, ahead + 1), axis=1), LONGEST - 1)]
    exchanged = (differing == 2) & (swapped == wanted).all(axis=1)
    longer = np.append(asked[:-1], 0)[np.maximum(places - 1, 0)]
    inserted = np.where(places > ahead[:, np.newaxis], longer, asked) == codes
    inserted |= places == ahead[:, np.newaxis]
    shorter = np.append(asked[1:], 0)
    deleted = np.where(places >= ahead[:, np.newaxis], shorter, asked) == codes
    found: Mask = (more == 0) & ((differing == 1) | exchanged)
    found |= (more == 1) & inserted.all(axis=1)
    found |= (more == -1) & deleted.all(axis=1)
    return found
