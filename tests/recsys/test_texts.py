from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.ids import Strings
from recsys.texts import Texts

texts = st.lists(st.text(st.characters(codec="utf-8"), max_size=3), max_size=5)


@given(
    column=texts,
    patches=st.dictionaries(st.integers(0, 7), st.sampled_from(["", "ö", "new"])),
    n_before=st.integers(0, 2),
)
def test_column_is_a_sequence_like_a_list(
    column: list[str], patches: dict[int, str], n_before: int
) -> None:
    wanted = [*column, *[""] * (8 - len(column))]
    for row, text in patches.items():
        wanted[row] = text

    strings = Strings.of(column).patched(patches, 8)
    found = Texts(strings, n_before)

    wanted = [""] * n_before + wanted
    assert list(found) == wanted
    assert [found[place] for place in range(len(found))] == wanted
    assert found[1:4] == wanted[1:4]
    assert strings.empty().tolist() == [not text for text in wanted[n_before:]]


def test_part_of_a_column_is_read_from_where_it_begins() -> None:
    whole = Strings.of(["a", "bc", "", "d"])

    part = Strings(whole.data, whole.offsets[1:4])

    assert list(part) == ["bc", ""]


def test_place_behind_the_end_is_none() -> None:
    with pytest.raises(IndexError):
        Texts(Strings.of(["a"]), 1)[2]
