"""Pools of shortlists, held against the lists cut one by one and merged anew."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsys.arrays import keys_of
from recsys.candidates import Candidates
from recsys.eligibility import Eligibility
from recsys.pipeline.shortlist import Pool, Shortlist

N_QUERIES, N_ITEMS = 3, 12
EVERYTHING = Eligibility.everything(N_ITEMS, N_QUERIES)


@st.composite
def proposed(draw: st.DrawFn) -> Candidates:
    """Draw what one source proposes, best first; to some queries nothing."""
    queries, rows, scores = [], [], []
    for query in range(N_QUERIES):
        own = draw(st.lists(st.integers(0, N_ITEMS - 1), max_size=8, unique=True))
        values = draw(st.lists(st.integers(-2, 9), min_size=len(own), max_size=len(own)))
        queries += [query] * len(own)
        rows += own
        scores += sorted(values, reverse=True)
    return Candidates.of(
        np.array(queries, dtype=np.int32),
        np.array(rows, dtype=np.int32),
        np.array(scores, dtype=np.float32),
    )


pairs = st.tuples(st.integers(0, N_QUERIES - 1), st.integers(0, N_ITEMS - 1))


@given(
    st.lists(proposed(), min_size=1, max_size=4),
    st.lists(pairs, max_size=10, unique=True),
    st.lists(st.integers(1, 8), min_size=4, max_size=4),
)
def test_a_pool_gives_what_its_lists_give_one_by_one_and_merged(
    lists: list[Candidates], taken: list[tuple[int, int]], depths: list[int]
) -> None:
    queries, rows = (np.array(one, dtype=np.int32) for one in zip(*taken or [(0, 0)], strict=True))
    gone = np.sort(keys_of(queries, rows))[: len(taken)]
    depths = depths[: len(lists)]

    found = Pool.of(lists).merged(gone, depths)

    cut = [
        Shortlist(EVERYTHING, N_ITEMS, one).without(gone, k, N_QUERIES)
        for one, k in zip(lists, depths, strict=True)
    ]
    wanted = Candidates.merged(cut)
    for name in ("queries", "rows", "scores", "signals"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))
