from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys import ids
from recsys.errors import InvalidInput
from recsys.ids import Strings, Vocabulary, check_id

texts = st.text(st.characters(codec="utf-8"), max_size=20)


@given(known=st.lists(texts, unique=True), asked=st.lists(texts))
def test_every_id_finds_its_own_row_and_no_other(known: list[str], asked: list[str]) -> None:
    vocabulary = Vocabulary.of(known)

    rows = vocabulary.rows([*known, *asked])

    places = {text: row for row, text in enumerate(known)}
    assert rows.tolist() == [places.get(text, -1) for text in [*known, *asked]]
    assert [vocabulary.id(row) for row in range(len(known))] == known


def test_ids_of_one_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids, "hashes_of", lambda found: np.zeros(len(found), dtype=np.uint64))

    vocabulary = Vocabulary.of(["a", "b", "c"])

    assert vocabulary.rows(["c", "a", "d", "b"]).tolist() == [2, 0, -1, 1]


def test_an_id_twice_in_a_vocabulary_is_a_broken_promise() -> None:
    with pytest.raises(ValueError, match="twice"):
        Vocabulary.of(["a", "a"])


@given(column=st.lists(texts))
def test_a_column_of_text_gives_back_what_went_in(column: list[str]) -> None:
    stored = Strings.of(column)

    assert stored.take(np.arange(len(column), dtype=np.int32)) == column


@pytest.mark.parametrize("text", ["", "x" * 129, "tab\there", "line\n", "null\0", "\ud800"])
def test_what_is_no_id_is_refused_with_the_fields_name(text: str) -> None:
    with pytest.raises(InvalidInput, match="item_id"):
        check_id("item_id", text)


@pytest.mark.parametrize("text", ["a", "x" * 128, "smørrebrød", "日本"])
def test_ids_of_any_script_up_to_128_bytes_are_ids(text: str) -> None:
    check_id("item_id", text)


@given(
    texts=st.lists(st.text(max_size=3), max_size=4),
    patches=st.lists(st.dictionaries(st.integers(0, 7), st.text(max_size=3)), max_size=3),
)
def test_column_with_patches_reads_as_a_list_that_was_written_to(
    texts: list[str], patches: list[dict[int, str]]
) -> None:
    column, wanted = Strings.of(texts), list(texts)
    for patch in patches:
        n = max(len(wanted), *(row + 1 for row in patch), 0)
        wanted += [""] * (n - len(wanted))
        for row, text in patch.items():
            wanted[row] = text

        column = column.patched(patch, n)

        assert [column[row] for row in range(len(column))] == wanted
    plain = Strings.of(texts)
    assert all(row >= len(texts) or text != plain[row] for row, text in column.patches.items())


def test_vocabulary_that_has_grown_finds_old_ids_and_new_but_no_gap() -> None:
    old = Vocabulary.of(["a", "b"])

    new = old.grown({3: "d"}, 4).grown({4: "e"}, 5)

    assert new.rows(["a", "b", "", "d", "e", "f"]).tolist() == [0, 1, -1, 3, 4, -1]
    assert [new.id(row) for row in range(5)] == ["a", "b", "", "d", "e"]
    assert old.rows(["d"]).tolist() == [-1]
