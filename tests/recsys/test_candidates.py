from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.candidates import Candidates


def _found(*triples: tuple[int, int, float]) -> Candidates:
    queries, rows, scores = zip(*triples, strict=True)
    return Candidates.of(
        np.array(queries, dtype=np.int32),
        np.array(rows, dtype=np.int32),
        np.array(scores, dtype=np.float32),
    )


def test_merging_keeps_each_item_once_with_what_every_source_said() -> None:
    first = _found((0, 5, 10.0), (0, 3, 5.0), (1, 5, 2.0))
    second = _found((0, 3, 0.2), (1, 7, 0.4))

    merged = Candidates.merged([first, second])

    assert merged.queries.tolist() == [0, 0, 1, 1]
    assert merged.rows.tolist() == [3, 5, 5, 7]
    assert merged.signals.tolist() == [[0.5, 1.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]


def test_best_gives_each_query_its_own_number_and_ties_go_to_the_lower_row() -> None:
    found = _found((0, 9, 1.0), (0, 2, 1.0), (0, 4, 3.0), (1, 1, 0.5), (1, 8, 0.7))

    best = found.best(np.array([2, 1], dtype=np.int32))

    assert best.queries.tolist() == [0, 0, 1]
    assert best.rows.tolist() == [4, 2, 8]


def test_best_of_many_keeps_the_lower_row_of_a_tie_at_the_last_place() -> None:
    found = _found(*((0, row, 1.0) for row in (9, 7, 5, 3)), (0, 8, 2.0), (1, 6, 0.5))

    best = found.best(np.array([2, 2], dtype=np.int32))

    assert best.queries.tolist() == [0, 0, 1]
    assert best.rows.tolist() == [8, 3, 6]


def test_scores_that_are_not_positive_count_nothing_once_merged() -> None:
    merged = Candidates.merged([_found((0, 1, -2.0), (0, 2, 0.0), (1, 3, 4.0), (1, 4, -1.0))])

    assert merged.signals[:, 0].tolist() == [0.0, 0.0, 1.0, 0.0]


def test_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2,\) rows"):
        Candidates(
            np.zeros(1, dtype=np.int32),
            np.zeros(2, dtype=np.int32),
            np.zeros(1, dtype=np.float32),
            np.zeros((1, 0), dtype=np.float32),
        )


def test_others_stand_behind_each_querys_own() -> None:
    first, others = _found((0, 5, 3.0), (0, 2, 2.0), (2, 7, 1.0)), _found((0, 9, 8.0), (1, 4, 6.0))

    both = first.with_signal().followed_by(others.with_signal())

    assert both.queries.tolist() == [0, 0, 0, 1, 2]
    assert both.rows.tolist() == [5, 2, 9, 4, 7]
    assert both.scores.tolist() == [3, 2, 8, 6, 1]
    assert both.signals.tolist() == [[0]] * 5


@given(st.data())
def test_order_is_by_score_then_row_however_the_candidates_stand(data: st.DataObject) -> None:
    pairs = st.tuples(st.integers(0, 3), st.integers(0, 9))
    drawn = data.draw(st.lists(pairs, min_size=1, max_size=20, unique=True))
    triples = [(query, row, float(row % 3)) for query, row in drawn]

    as_drawn, ascending = _found(*triples).ordered(), _found(*sorted(triples)).ordered()

    wanted = sorted(triples, key=lambda one: (one[0], -one[2], one[1]))
    for found in (as_drawn, ascending):
        assert list(zip(found.queries.tolist(), found.rows.tolist(), strict=True)) == [
            (query, row) for query, row, _ in wanted
        ]
