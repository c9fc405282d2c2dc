from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsys.lists import Lists

CODES = st.lists(st.integers(0, 5), max_size=3)


def lists_of(lists: list[list[int]]) -> Lists:
    codes = np.array([code for one in lists for code in one], dtype=np.int32)
    return Lists.of([len(one) for one in lists], codes)


def told(lists: Lists) -> list[list[int]]:
    return [lists.at(row).tolist() for row in range(len(lists))]


@given(old=st.lists(CODES, max_size=6), new=st.dictionaries(st.integers(0, 8), CODES))
def test_replaced_lists_are_the_new_ones_among_the_old(
    old: list[list[int]], new: dict[int, list[int]]
) -> None:
    rows = np.array(sorted(new), dtype=np.int32)
    n_items = max(len(old), *(row + 1 for row in new), 0)

    found = lists_of(old).replaced(rows, lists_of([new[row] for row in rows.tolist()]), n_items)

    before = dict(enumerate(old))
    assert told(found) == [new.get(row, before.get(row, [])) for row in range(n_items)]


def test_lists_that_stay_as_they_are_are_shared() -> None:
    old = lists_of([[1], [2, 3], []])

    same = old.replaced(np.array([1], dtype=np.int32), lists_of([[2, 3]]), 3)
    other = old.replaced(np.array([1], dtype=np.int32), lists_of([[3, 2]]), 3)

    assert same is old
    assert other.offsets is old.offsets
    assert told(other) == [[1], [3, 2], []]


@given(lists=st.lists(CODES, max_size=6))
def test_narrowed_lists_keep_the_chosen_codes_in_their_order(lists: list[list[int]]) -> None:
    whole = lists_of(lists)
    chosen = whole.codes % 2 == 0

    found = whole.narrowed(chosen, whole.codes[chosen] + 10)

    assert told(found) == [[code + 10 for code in one if code % 2 == 0] for one in lists]
    assert found.firsts(-1).tolist() == [(one or [-1])[0] for one in told(found)]


def test_lists_of_some_rows_come_in_the_order_asked_for() -> None:
    lists = lists_of([[1], [2, 3], []])

    found = lists.of_rows(np.array([1, 2, 1, 0], dtype=np.int32))

    assert told(found) == [[2, 3], [], [2, 3], [1]]
