from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.arrays import Vectors
from recsys.assortment import Assortment
from recsys.bundle import ModelBundle
from recsys.candidates import Candidates
from recsys.catalog_changes import Change, Names, changed
from recsys.context import Contexts
from recsys.events import EventType
from recsys.explanations import reasons
from recsys.growth import grown
from recsys.ids import ItemId
from recsys.items import Item
from recsys.pipeline.compile import compile_placement
from recsys.pipeline.newcomers import Newcomers
from recsys.pipeline.pipeline import Pipeline
from recsys.pipeline.placement import NewcomersConfig, parse_placements
from recsys.query import Query, ReasonCode
from recsys.shares import main_sources
from recsys.state import UserState
from tests import shop

NOW_S = int(shop.NOW.timestamp())
N_OLD = len(shop.ITEMS)
HOME = parse_placements(shop.PLACEMENTS)["home"]
EVERYBODY = [f"customer {number}" for number in range(400)]


def with_newcomers(
    n_newcomers: int, vectors: Vectors | None = None, *, age_s: int = 600, **fields: object
) -> ModelBundle:
    """Return the tiny shop with so many items behind it, described so long ago."""
    bundle = shop.bundle()
    changes = {
        row: Change(
            ItemId(f"new {row}"),
            Item(ItemId(f"new {row}"), f"New {row}", **fields),  # type: ignore[arg-type]
            NOW_S - age_s,
        )
        for row in range(N_OLD, N_OLD + n_newcomers)
    }
    catalog, _ = changed(bundle.catalog, Names.of(bundle.catalog), changes)
    unknown = np.zeros((n_newcomers, 3), dtype=np.float32)
    return grown(bundle, catalog, unknown if vectors is None else vectors)


def pipeline_of(bundle: ModelBundle, share: float = 0.1, days: float = 30.0) -> Pipeline:
    config = replace(HOME, newcomers=NewcomersConfig(share=share, days=days, evidence=5.0))
    return compile_placement("home", config, bundle)


def contexts_of(
    bundle: ModelBundle, queries: list[Query], states: list[UserState] | None = None
) -> Contexts:
    unknown = [UserState.unknown()] * len(queries)
    assortment = Assortment.of(bundle.catalog)
    return Contexts.resolve(
        queries, states or unknown, assortment=assortment, interest=bundle.interest
    )


def asked(limit: int, hours: int = 0) -> list[Query]:
    """Return a question of everybody, so many hours from now."""
    now = shop.NOW + timedelta(hours=hours)
    return [Query("home", now, user_id=name, limit=limit) for name in EVERYBODY]


def let_in(pipeline: Pipeline, listed: Candidates) -> Candidates:
    return listed.take(main_sources(pipeline, listed) == len(pipeline.sources))


@pytest.mark.parametrize(("share", "limit"), [(0.05, 8), (0.1, 8), (0.3, 8), (0.5, 3)])
def test_newcomers_have_their_share_over_many_askers_and_hours(share: float, limit: int) -> None:
    bundle = with_newcomers(12)
    pipeline = pipeline_of(bundle, share)

    lists = [pipeline.run(contexts_of(bundle, asked(limit, hours))) for hours in range(10)]

    n_lists = 10 * len(EVERYBODY)
    found = sum(int((listed.rows >= N_OLD).sum()) for listed in lists)
    fraction = share * limit % 1
    spread = 4 * (fraction * (1 - fraction) * n_lists) ** 0.5
    assert abs(found - share * limit * n_lists) <= spread + 1e-6


def test_places_are_spread_over_the_list_and_never_the_first() -> None:
    bundle = with_newcomers(12)
    pipeline = pipeline_of(bundle, 0.25)

    listed = pipeline.run(contexts_of(bundle, asked(8)))

    table = listed.rows.reshape(-1, 8) >= N_OLD
    assert not table[:, 0].any()
    assert (table.sum(axis=1) == 2).all()
    assert (table.mean(axis=0)[1:] > 0.15).all()
    places = np.nonzero(table)[1].reshape(-1, 2)
    assert (np.diff(places, axis=1) >= 3).all()  # half a list apart


def test_all_newcomers_have_their_turn_with_strangers() -> None:
    bundle = with_newcomers(12)
    pipeline = pipeline_of(bundle, 0.125)

    listed = pipeline.run(contexts_of(bundle, asked(8)))

    turns = Counter(listed.rows[listed.rows >= N_OLD].tolist())
    assert len(turns) == 12
    assert max(turns.values()) < 2 * len(EVERYBODY) / 12


def test_more_newcomers_than_are_compared_have_their_turn_from_hour_to_hour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("recsys.pipeline.newcomers.MOST_WEIGHED", 5)
    bundle = with_newcomers(12)
    pipeline = pipeline_of(bundle, 0.125)

    hours = [pipeline.run(contexts_of(bundle, asked(8, hour))) for hour in range(3)]

    shown = [set(listed.rows[listed.rows >= N_OLD].tolist()) for listed in hours]
    assert [len(one) for one in shown] == [5, 5, 5]
    assert len(set.union(*shown)) == 12


def test_the_relevant_ones_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recsys.pipeline.newcomers.MOST_RELEVANT", 2)
    tastes = np.repeat(np.eye(3, dtype=np.float32) * 0.01, 2, axis=0)
    bundle = with_newcomers(6, tastes)
    pipeline = pipeline_of(bundle, 0.25)
    likes_cleaning = [shop.bought("soap", days=9.0)] * len(EVERYBODY)
    on_page = [replace(one, seeds=(ItemId("coffee"),)) for one in asked(4)]

    at_home = pipeline.run(contexts_of(bundle, asked(4), likes_cleaning))
    for_page = pipeline.run(contexts_of(bundle, on_page, likes_cleaning))

    assert set(let_in(pipeline, at_home).rows.tolist()) <= {N_OLD + 4, N_OLD + 5}
    assert set(let_in(pipeline, for_page).rows.tolist()) == {N_OLD + 2, N_OLD + 3}


def test_newcomers_in_the_list_by_their_own_rank_count_towards_the_share() -> None:
    likely = np.full((1, 3), 5.0, dtype=np.float32)
    bundle = with_newcomers(1, likely)
    contexts = contexts_of(bundle, [shop.query(limit=4)], [shop.bought("soap", days=9.0)])

    listed = pipeline_of(bundle, 0.25).run(contexts)

    ranked = replace(pipeline_of(bundle, 0.25), newcomers=None).run(contexts)
    assert N_OLD in ranked.rows.tolist()
    assert listed.rows.tolist() == ranked.rows.tolist()


@pytest.mark.parametrize(
    "bundle",
    [
        with_newcomers(3, available=False),
        with_newcomers(3, hidden=True),
        with_newcomers(3, age_s=31 * shop.DAY),
        with_newcomers(3, age_s=-60),
        with_newcomers(3, stock=0.0),
        shop.bundle(),
    ],
    ids=["unavailable", "hidden", "old", "not yet described", "sold out", "none"],
)
def test_without_newcomers_lists_are_what_they_were(bundle: ModelBundle) -> None:
    contexts = contexts_of(bundle, asked(6), [shop.bought("bread")] * len(EVERYBODY))
    pipeline = pipeline_of(bundle, 0.5)

    listed = pipeline.run(contexts)

    before = replace(pipeline, newcomers=None).run(contexts)
    assert listed.rows.tolist() == before.rows.tolist()
    assert listed.scores.tolist() == before.scores.tolist()
    assert listed.signals[:, :-1].tolist() == before.signals.tolist()


def test_items_of_the_day_the_shop_opened_are_not_new_but_those_described_later_are() -> None:
    bundle = shop.bundle()
    opened = np.full(N_OLD, NOW_S - 5 * shop.DAY, dtype=np.int64)
    opened[:9] += np.arange(9) * 3_600
    opened[7] = NOW_S - 2 * shop.DAY
    bundle = replace(bundle, catalog=replace(bundle.catalog, since=opened))

    listed = pipeline_of(bundle, 0.5).run(contexts_of(bundle, asked(4)))

    assert set(let_in(pipeline_of(bundle), listed).rows.tolist()) == {7}


def test_items_that_sell_are_not_new() -> None:
    bundle = shop.bundle()
    since = np.full(N_OLD, NOW_S - 2 * shop.DAY, dtype=np.int64)
    since[9] = NOW_S - 400 * shop.DAY
    bundle = replace(bundle, catalog=replace(bundle.catalog, since=since))

    found = Newcomers.of(bundle, NewcomersConfig(share=0.1, days=30.0, evidence=5.0))

    assert [shop.ITEMS[row] for row in found.at(NOW_S)] == ["sugar", "soap", "sponge", "tea"]


def test_item_let_in_says_that_it_is_new() -> None:
    bundle = with_newcomers(1)
    pipeline = pipeline_of(bundle, 0.25)
    contexts = contexts_of(bundle, [shop.query(limit=4)])

    listed = pipeline.run(contexts)

    why = reasons(pipeline, contexts, listed, bundle.catalog)
    (reason,) = (one for one, row in zip(why, listed.rows, strict=True) if row == N_OLD)
    assert (reason.code, reason.text, reason.anchors) == (ReasonCode.NEW, "It is new here", ())
    assert pipeline.source_names[main_sources(pipeline, listed)[listed.rows == N_OLD][0]] == (
        "newcomers"
    )
    assert [one.code for one in why].count(ReasonCode.NEW) == 1


events = st.tuples(st.sampled_from(EventType), st.sampled_from(shop.ITEMS), st.floats(0.0, 60.0))
ids = st.sampled_from([*shop.ITEMS, *(f"new {row}" for row in range(N_OLD, N_OLD + 6))])
rows = st.lists(ids.map(ItemId), max_size=8, unique=True).map(tuple)
CROWD = with_newcomers(6, np.random.default_rng(3).normal(size=(6, 3)).astype(np.float32))
askers = st.tuples(
    st.sampled_from(["anna", "bert", ""]), rows, rows, st.integers(0, 14), st.integers(0, 90)
)


@given(
    given_askers=st.lists(askers, min_size=1, max_size=4),
    known=st.lists(events, max_size=8),
    share=st.floats(0.01, 0.5),
)
@settings(max_examples=200)
def test_lists_keep_their_length_first_item_and_order_and_hold_what_is_eligible_once(
    given_askers: list[tuple[str, tuple[ItemId, ...], tuple[ItemId, ...], int, int]],
    known: list[tuple[EventType, str, float]],
    share: float,
) -> None:
    queries = [
        Query("home", shop.NOW + timedelta(minutes=late), who, "", "", seeds, excluded, limit)
        for who, seeds, excluded, limit, late in given_askers
    ]
    states = [shop.state(*known)] * len(queries)
    pipeline, contexts = pipeline_of(CROWD, share), contexts_of(CROWD, queries, states)

    listed = pipeline.run(contexts)

    ranked = replace(pipeline, newcomers=None).run(contexts)
    eligible = pipeline.eligible(contexts)
    assert pipeline.run(contexts).rows.tolist() == listed.rows.tolist()
    for query in range(len(queries)):
        new, old = listed.rows[listed.queries == query], ranked.rows[ranked.queries == query]
        mine = let_in(pipeline, listed)
        entered = mine.rows[mine.queries == query]
        assert len(new) == len(old) == len(set(new.tolist()))
        assert new[:1].tolist() == old[:1].tolist()
        assert eligible.of_query(query)[new].all()
        assert (entered >= N_OLD).all()
        kept = [row for row in new.tolist() if row not in set(entered.tolist())]
        assert kept == [row for row in old.tolist() if row in set(kept)]
        assert {row for row in old.tolist() if row >= N_OLD} <= set(kept)
        alone = pipeline.run(contexts_of(CROWD, [queries[query]], states[:1]))
        assert alone.rows.tolist() == new.tolist()
        assert np.all(np.diff(listed.scores[listed.queries == query]) <= 0)
