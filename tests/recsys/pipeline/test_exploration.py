from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.candidates import Candidates
from recsys.context import Contexts
from recsys.pipeline.compile import compile_placements
from recsys.pipeline.exploration import Exploration, Explored
from recsys.pipeline.placement import ExplorationConfig, NewcomersConfig, parse_placements
from recsys.query import Query
from recsys.state import UserState
from recsys.timelines import Ragged
from tests import shop

N_ASKERS = 4_000
CERTAINTY = 1e-9
"""Chance that an honest draw misses the bound below, for one item."""

lengths = st.lists(st.integers(0, 10), min_size=1, max_size=4)


def askers(n: int, hour: int = 0) -> Contexts:
    queries = [
        shop.query(user_id=f"user {number}", now=shop.NOW + timedelta(hours=hour))
        for number in range(n)
    ]
    return shop.contexts([UserState.unknown()] * n, queries)


def ranked(n_items: list[int]) -> Candidates:
    """Return the first items of the shop for each query, best first."""
    queries = np.repeat(np.arange(len(n_items), dtype=np.int32), n_items)
    rows = np.concatenate([np.arange(n, dtype=np.int32) for n in n_items])
    found = Candidates.of(queries, rows, (1.0 - rows / 10).astype(np.float32))
    return replace(found, signals=np.ones((len(found), 1), dtype=np.float32))


def explored(share: float, n_items: list[int], limit: int, hour: int = 0) -> Explored:
    found = ranked(n_items)
    listed = found.first(np.full(len(n_items), limit, dtype=np.int32))
    return Exploration(share).explore(askers(len(n_items), hour), found, listed)


@given(lengths, st.integers(1, 10), st.floats(0.01, 0.5))
def test_who_is_drawn_is_a_candidate_and_lists_keep_length_first_and_order(
    n_items: list[int], limit: int, share: float
) -> None:
    found = explored(share, n_items, limit)

    for query, n in enumerate(n_items):
        own = found.listed.queries == query
        rows = found.listed.rows[own].tolist()
        length = min(limit, n)
        kept = [row for row in rows if row < length]
        assert len(rows) == len(set(rows)) == length
        assert rows[:1] == [0][:length]
        assert kept == sorted(kept)
        assert set(rows) <= set(range(n))
        assert len(rows) - len(kept) <= np.ceil(share * length)
        assert np.all((found.propensities[own] > 0) & (found.propensities[own] <= 1))


@given(lengths, st.integers(1, 10), st.floats(0.01, 0.5))
def test_a_batch_is_explored_as_its_queries_one_by_one(
    n_items: list[int], limit: int, share: float
) -> None:
    together = explored(share, n_items, limit)

    whole, contexts = ranked(n_items), askers(len(n_items))
    for query in range(len(n_items)):
        own = whole.take(whole.queries == query)
        own = replace(own, queries=np.zeros_like(own.queries))
        one = contexts.of(np.array([query], dtype=np.int32))
        listed = own.first(np.array([limit], dtype=np.int32))
        alone = Exploration(share).explore(one, own, listed)
        mine = together.listed.queries == query
        assert together.listed.rows[mine].tolist() == alone.listed.rows.tolist()
        assert together.propensities[mine].tolist() == alone.propensities.tolist()


@pytest.mark.parametrize("share", [0.15, 0.25, 0.4])
def test_items_are_listed_as_often_as_their_propensity_says(share: float) -> None:
    found = explored(share, [10] * N_ASKERS, limit=4)

    often = np.bincount(found.listed.rows, minlength=10) / N_ASKERS
    said = np.zeros(10)
    said[found.listed.rows] = found.propensities
    # Hoeffding 1963: P(|frequency - chance| >= t) <= 2 exp(-2 n t^2).
    bound = np.sqrt(np.log(2 / CERTAINTY) / (2 * N_ASKERS))
    assert np.abs(often - said).max() < bound
    assert said.sum() == pytest.approx(4)
    assert said[4:].sum() == pytest.approx(4 * share, abs=1e-6)
    assert np.ptp(said[4:]) == pytest.approx(0)


def test_a_question_repeats_itself_within_the_hour_and_not_for_ever() -> None:
    lists = [
        explored(0.5, [10] * 20, limit=4, hour=hour).listed.rows.tolist() for hour in (0, 0, 1)
    ]

    assert lists[0] == lists[1]
    assert lists[0] != lists[2]


def test_newcomers_keep_their_places() -> None:
    bundle = shop.bundle()
    since = shop.since(days=(*[400] * 7, 2, 2, 2))  # sponge, tea and cake are new
    young = replace(bundle, catalog=replace(bundle.catalog, since=since))
    config = replace(
        parse_placements(shop.PLACEMENTS)["home"], newcomers=NewcomersConfig(0.5, 30.0, 8.0)
    )
    plain, exploring = (
        compile_placements({"home": replace(config, exploration=wanted)}, young)["home"]
        for wanted in (None, ExplorationConfig(0.25))
    )
    contexts = askers(20)

    before, after = (
        one.fill(contexts, Ragged.empty(len(contexts))).listed for one in (plain, exploring)
    )

    assert before.rows.tolist() != after.rows.tolist()
    let_in = [
        set(zip(found.queries[chosen].tolist(), found.rows[chosen].tolist(), strict=True))
        for found in (before, after)
        for chosen in [found.signals[:, -1] == 1]
    ]
    assert let_in[0]
    assert let_in[0] == let_in[1]


def test_a_list_without_exploration_is_certain() -> None:
    pipeline = compile_placements(parse_placements(shop.PLACEMENTS), shop.bundle())["home"]
    asked: list[Query] = [shop.query()]

    filled = pipeline.fill(shop.contexts([UserState.unknown()], asked), Ragged.empty(1))

    assert filled.choice.propensities.tolist() == [1.0] * 4
