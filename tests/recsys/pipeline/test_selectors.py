from __future__ import annotations

import numpy as np

from recsys.candidates import Candidates
from recsys.pipeline.selectors import Varied
from recsys.state import UserState
from tests import shop


def test_items_without_a_category_never_step_back() -> None:
    categories = np.array([1, 1, 0, 0, 0, 2], dtype=np.int32)
    rows = np.arange(6, dtype=np.int32)
    ranked = Candidates.of(np.zeros(6, dtype=np.int32), rows, -rows.astype(np.float32))

    chosen = Varied(categories, 1).select(
        shop.contexts([UserState.unknown()]), ranked, np.array([6], dtype=np.int32)
    )

    assert chosen.rows.tolist() == [0, 2, 3, 4, 5, 1]


def test_each_query_counts_its_own_categories() -> None:
    categories = np.array([1, 1, 2], dtype=np.int32)
    queries = np.array([0, 0, 0, 1, 1, 1], dtype=np.int32)
    rows = np.array([0, 1, 2, 0, 1, 2], dtype=np.int32)
    ranked = Candidates.of(queries, rows, -rows.astype(np.float32))

    chosen = Varied(categories, 1).select(
        shop.contexts([UserState.unknown()] * 2), ranked, np.array([2, 3], dtype=np.int32)
    )

    assert chosen.queries.tolist() == [0, 0, 1, 1, 1]
    assert chosen.rows.tolist() == [0, 2, 0, 2, 1]
