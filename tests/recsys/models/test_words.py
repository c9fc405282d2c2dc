from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.models.words import Postings, Spoken, WordIndex, words_of

TITLES = ("Rye bread", "Wheat bread", "Crème brûlée", "Butter cookies", "Cookie jar", "Bread bread")
SHELF = dict(enumerate(TITLES))


def postings(titles: dict[int, str]) -> Postings:
    dictionary: dict[str, int] = {}
    spoken = Spoken.of(titles.values(), dictionary)
    rows = np.array(list(titles), dtype=np.int32)
    return Postings.of([spoken.by(rows, np.arange(len(rows), dtype=np.int32))], dictionary)


def index(titles: dict[int, str], later: dict[int, str] | None = None) -> WordIndex:
    n_items = 1 + max((*titles, *(later or {})))
    changed = np.zeros(n_items, dtype=np.bool_)
    changed[list(later or {})] = True
    return WordIndex(postings(titles), postings(later or {}), changed)


def found(text: str, among: WordIndex | None = None) -> list[str]:
    """Return the titles that match, best first, those that match alike by their row."""
    rows, scores = (among or index(SHELF)).matching(text)
    return [TITLES[row] for row in rows[np.lexsort((rows, -scores))].tolist()]


@pytest.mark.parametrize(
    ("text", "titles"),
    [
        ("BREAD", ["Rye bread", "Wheat bread", "Bread bread"]),
        ("bread rye", ["Rye bread", "Wheat bread", "Bread bread"]),
        ("bread jar", ["Cookie jar", "Rye bread", "Wheat bread", "Bread bread"]),
        ("creme", ["Crème brûlée"]),
        ("BRÛLÉE", ["Crème brûlée"]),
        ("cookie", ["Cookie jar", "Butter cookies"]),
        ("bu", ["Butter cookies"]),
        ("bred", ["Rye bread", "Wheat bread", "Bread bread"]),
        ("whaet", ["Wheat bread"]),
        ("buttter", ["Butter cookies"]),
        ("sugar", []),
        ("b", []),
        ("?!", []),
        ("", []),
    ],
)
def test_items_with_the_rarest_of_the_words_come_first(text: str, titles: list[str]) -> None:
    assert found(text) == titles


def test_the_word_itself_counts_more_than_one_that_begins_so_and_that_more_than_a_slip() -> None:
    scores = {text: float(index(SHELF).matching(text)[1][0]) for text in ("wheat", "whea", "wheet")}

    assert scores["wheat"] > scores["whea"] > scores["wheet"] > 0


def test_what_changed_is_found_by_what_it_says_now_alone() -> None:
    among = index(SHELF, {1: "Oat crackers"})

    assert found("wheat", among) == []
    assert found("crackers", among) == ["Wheat bread"]
    assert found("bread", among) == ["Rye bread", "Bread bread"]


def test_a_word_longer_than_any_that_counts_is_found_by_its_beginning() -> None:
    long = "x" * 40

    rows, _ = index({0: long}).matching(long + "y")

    assert rows.tolist() == [0]
    assert words_of(long) == ["x" * 24]


@given(
    st.lists(st.text("ab", min_size=1, max_size=6), min_size=1, max_size=8),
    st.text("ab", min_size=4, max_size=6),
)
@settings(max_examples=300)
def test_words_one_edit_away_are_those_that_a_plain_count_finds(
    texts: list[str], asked: str
) -> None:
    among = postings(dict(enumerate(texts)))

    near = {str(among.words[place]) for place in among.near(asked)}

    assert near == {text for text in texts if _one_edit(text, asked)}


def _one_edit(one: str, other: str) -> bool:
    """Return whether one letter more, less, else or a swap of neighbours makes one the other."""
    letters = "ab"
    splits = [(one[:cut], one[cut:]) for cut in range(len(one) + 1)]
    made = {left + letter + right for left, right in splits for letter in letters}
    made |= {left + right[1:] for left, right in splits if right}
    made |= {left + letter + right[1:] for left, right in splits if right for letter in letters}
    made |= {left + right[1] + right[0] + right[2:] for left, right in splits if len(right) > 1}
    return other in made - {one}
