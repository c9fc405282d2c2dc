"""The laws of the stages, for every implementation, over random batches of the tiny shop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.arrays import keys_of
from recsys.candidates import Candidates
from recsys.context import Contexts
from recsys.eligibility import Eligibility
from recsys.events import EventType
from recsys.ids import ItemId
from recsys.models.trends import Activity, Trends
from recsys.pipeline.adjusters import Objectives, Rotation
from recsys.pipeline.compile import compile_placements, conditions_of, source_of
from recsys.pipeline.diversity import Diverse
from recsys.pipeline.filters import (
    Available,
    NotHidden,
    NotMailed,
    NotPurchased,
    NotSeeds,
    NotShown,
    NotViewed,
)
from recsys.pipeline.pipeline import Pipeline
from recsys.pipeline.placement import (
    NewcomersConfig,
    RotationConfig,
    SourceKind,
    parse_placements,
)
from recsys.pipeline.rankers import WeightedSum
from recsys.pipeline.selectors import Top, Varied
from recsys.pipeline.stages import Adjuster, CandidateSource, Filter, Selector
from recsys.query import Scene, Selection
from recsys.rules.arranging import Scaled
from recsys.state import UserState
from recsys.timelines import Ragged
from tests import shop

BUNDLE = shop.bundle()
N_ITEMS = len(shop.ITEMS)
FILTERS: list[Filter] = [
    Available(),
    NotSeeds(),
    NotHidden(),
    NotPurchased(5.0),
    NotViewed(5.0),
    NotShown(20.0, times=2),
    NotMailed(30.0),
]
YOUNG = replace(BUNDLE, catalog=replace(BUNDLE.catalog, since=shop.since(days=(400, *[2] * 9))))
SOURCES = {kind: source_of(kind, YOUNG) for kind in SourceKind}
OF_NO_ITEM = (SourceKind.POPULAR, SourceKind.TRENDING, SourceKind.NEW, SourceKind.SEARCHED)
CATEGORIES = BUNDLE.catalog.categories
SELECTORS: list[Selector] = [
    Top(),
    Varied(CATEGORIES, 1),
    Diverse(0.5, BUNDLE.factors, CATEGORIES),
    Diverse(1.0, BUNDLE.factors, CATEGORIES, per_category=1),
]
BAKERY = CATEGORIES[shop.ROW["bread"]] == CATEGORIES
VALUES = conditions_of(BUNDLE).values
ADJUSTERS: list[Adjuster] = [
    Rotation(0.5, 30.0),
    Rotation(1.0, 30.0),
    Objectives({"price": -0.5, "nothing": 1.0}, VALUES),
    Scaled(BAKERY, 10.0),
    Scaled(BAKERY, 0.1),
]
PLACEMENTS = dict(parse_placements(shop.PLACEMENTS))
PLACEMENTS |= {
    f"{name} with newcomers": replace(config, newcomers=NewcomersConfig(0.3, 30.0, 8.0))
    for name, config in PLACEMENTS.items()
}
PLACEMENTS["home as the shop wants it"] = replace(
    PLACEMENTS["home"], rotation=RotationConfig(0.5, 30.0), objectives={"price": 0.3}
)
PIPELINES = compile_placements(PLACEMENTS, YOUNG)

items = st.sampled_from(shop.ITEMS)
OFTEN = (EventType.DETAIL_VIEW, EventType.ADD_TO_CART, EventType.PURCHASE)
events = st.tuples(st.sampled_from((*EventType, *OFTEN * 8)), items, st.floats(0.0, 60.0))
states = st.lists(events, max_size=12).map(lambda found: shop.state(*found))
seeds = st.lists(items.map(ItemId), max_size=3).map(tuple)
searches = st.sampled_from(("", "butter", "dairy milk", "bred", "co te", "nothing"))
shares = st.sampled_from((None, 0.0, 0.3, 1.0))


@st.composite
def batches(draw: st.DrawFn) -> tuple[list[UserState], Contexts]:
    """Draw the states and contexts of one to four queries."""
    known = draw(st.lists(states, min_size=1, max_size=4))
    market = draw(st.sampled_from(("", "DE")))
    queries = [
        shop.query(
            "home",
            seeds=draw(seeds),
            excluded=draw(seeds),
            limit=draw(st.integers(0, 12)),
            scene=Scene(search=draw(searches)),
            market=market,
        )
        for _ in known
    ]
    return known, shop.contexts(known, queries, draw(trends()))


@st.composite
def trends(draw: st.DrawFn) -> Trends:
    """Draw what is wanted in one market, of which enough may be known, and in another."""
    rows = draw(st.lists(st.integers(0, 2 * N_ITEMS - 1), unique=True).map(sorted))
    amounts = st.lists(st.floats(1.0, 200.0), min_size=len(rows), max_size=len(rows))
    recent, usual = np.array(draw(amounts)), np.array(draw(amounts))
    keys = keys_of(np.array(rows, dtype=np.int32) // N_ITEMS, np.array(rows, np.int32) % N_ITEMS)
    return Trends.of(("DE", "FR"), Activity(keys, recent, usual), 0.1)


@st.composite
def eligibilities(draw: st.DrawFn, n_queries: int) -> Eligibility:
    """Draw a shared mask and what each query excludes."""
    shared = np.array(draw(st.lists(st.booleans(), min_size=N_ITEMS, max_size=N_ITEMS)))
    rows = st.lists(st.integers(0, N_ITEMS - 1), max_size=4, unique=True)
    excluded = [np.array(draw(rows), dtype=np.int32) for _ in range(n_queries)]
    return Eligibility(shared, Ragged.of(excluded))


def _one(contexts: Contexts, states: list[UserState], place: int) -> Contexts:
    return shop.contexts([states[place]], [contexts.queries[place]], contexts.trends)


@pytest.mark.parametrize("narrowing", FILTERS, ids=lambda stage: type(stage).__name__)
@given(data=st.data())
def test_a_filter_only_narrows(narrowing: Filter, data: st.DataObject) -> None:
    _, contexts = data.draw(batches())
    eligible = data.draw(eligibilities(len(contexts)))

    narrowed = narrowing.narrow(contexts, eligible)

    for query in range(len(contexts)):
        assert not np.any(narrowed.of_query(query) & ~eligible.of_query(query))


@pytest.mark.parametrize("kind", SOURCES)
@given(data=st.data())
def test_a_source_returns_unique_eligible_rows_and_at_most_k(
    kind: SourceKind, data: st.DataObject
) -> None:
    _, contexts = data.draw(batches())
    eligible, k = data.draw(eligibilities(len(contexts))), data.draw(st.integers(1, 12))

    found = SOURCES[kind].retrieve(contexts, eligible, k)

    for query in range(len(contexts)):
        rows = found.rows[found.queries == query]
        assert len(rows) == len(set(rows.tolist())) <= k
        assert eligible.of_query(query)[rows].all()
    assert np.all(np.diff(found.queries) >= 0)


@pytest.mark.parametrize("kind", SOURCES)
@given(data=st.data())
def test_a_source_that_may_show_less_proposes_the_best_of_what_it_proposed_before(
    kind: SourceKind, data: st.DataObject
) -> None:
    _, contexts = data.draw(batches())
    wide, narrow = (data.draw(eligibilities(len(contexts))) for _ in range(2))
    narrow = replace(wide, excluded=wide.excluded.joined(narrow.excluded)).within(narrow.shared)
    k = data.draw(st.integers(1, 12))

    before, after = (SOURCES[kind].retrieve(contexts, one, 99) for one in (wide, narrow))

    found = SOURCES[kind].retrieve(contexts, narrow, k)
    for query in range(len(contexts)):
        allowed = narrow.of_query(query)
        kept = before.take((before.queries == query) & allowed[before.rows])
        own = after.take(after.queries == query)
        assert _scores(own) == pytest.approx(_scores(kept), abs=1e-4)
        best = own.scores[:k].tolist()
        assert found.scores[found.queries == query].tolist() == pytest.approx(best, abs=1e-4)


@pytest.mark.parametrize("kind", SOURCES)
@given(data=st.data())
def test_a_source_answers_a_batch_as_it_answers_its_queries_one_by_one(
    kind: SourceKind, data: st.DataObject
) -> None:
    known, contexts = data.draw(batches())
    eligible, k = data.draw(eligibilities(len(contexts))), data.draw(st.integers(1, 12))
    source: CandidateSource = SOURCES[kind]

    together = source.retrieve(contexts, eligible, k)

    for query in range(len(contexts)):
        own = Eligibility(eligible.shared, Ragged.of([eligible.excluded.at(query)]))
        alone = source.retrieve(_one(contexts, known, query), own, k)
        mine = together.queries == query
        assert _scores(together.take(mine)) == pytest.approx(_scores(alone), abs=1e-4)


@pytest.mark.parametrize("kind", SOURCES)
@given(data=st.data())
def test_a_source_names_anchors_from_the_askers_own_items_or_the_page(
    kind: SourceKind, data: st.DataObject
) -> None:
    _, contexts = data.draw(batches())
    everything = Eligibility.everything(N_ITEMS, len(contexts))
    found = SOURCES[kind].retrieve(contexts, everything, 12)

    anchors = SOURCES[kind].anchors(contexts, found)

    for query, anchor in zip(found.queries.tolist(), anchors.tolist(), strict=True):
        own = slice(contexts.interests.offsets[query], contexts.interests.offsets[query + 1])
        known = {*contexts.interests.rows[own].tolist(), *contexts.seeds.at(query).tolist(), -1}
        assert anchor in known
        assert (anchor == -1) == (kind in OF_NO_ITEM)


@given(data=st.data())
def test_permuting_candidates_permutes_scores(data: st.DataObject) -> None:
    _, contexts = data.draw(batches())
    pipeline = PIPELINES["home"]
    merged = pipeline.retrieve(contexts, pipeline.eligible(contexts))
    weights = np.array([1.0, 0.5, 0.25, 0.125], dtype=np.float32)
    ranker = WeightedSum(weights, BUNDLE.popularity.trends)
    order = np.array(data.draw(st.permutations(range(len(merged)))), dtype=np.int64)

    scores = ranker.score(contexts, merged)

    assert ranker.score(contexts, merged.take(order)) == pytest.approx(scores[order])


@pytest.mark.parametrize("selector", SELECTORS, ids=lambda stage: type(stage).__name__)
@given(data=st.data())
def test_a_selector_returns_a_subset_of_full_length(
    selector: Selector, data: st.DataObject
) -> None:
    _, contexts = data.draw(batches())
    pipeline = PIPELINES["home"]
    ranked = pipeline.retrieve(contexts, pipeline.eligible(contexts)).ordered()
    limits = contexts.limits(5)

    chosen = selector.select(contexts, ranked, limits)

    offered = set(zip(ranked.queries.tolist(), ranked.rows.tolist(), strict=True))
    kept = list(zip(chosen.queries.tolist(), chosen.rows.tolist(), strict=True))
    assert set(kept) <= offered
    assert len(kept) == len(set(kept))
    for query in range(len(contexts)):
        n_offered = int((ranked.queries == query).sum())
        assert int((chosen.queries == query).sum()) == min(limits[query], n_offered)


@pytest.mark.parametrize("selector", SELECTORS, ids=lambda stage: type(stage).__name__)
@given(data=st.data())
def test_a_selector_answers_a_batch_as_it_answers_its_queries_one_by_one(
    selector: Selector, data: st.DataObject
) -> None:
    known, contexts = data.draw(batches())
    contexts = _wishing(data, contexts)
    pipeline = PIPELINES["home"]
    ranked = pipeline.retrieve(contexts, pipeline.eligible(contexts))
    ranked = ranked.scored(ranked.signals.sum(axis=1)).ordered()

    together = selector.select(contexts, ranked, contexts.limits(5))

    for query in range(len(contexts)):
        own = ranked.take(ranked.queries == query)
        own = replace(own, queries=np.zeros_like(own.queries))
        alone = selector.select(_one(contexts, known, query), own, contexts.limits(5)[[query]])
        assert together.rows[together.queries == query].tolist() == alone.rows.tolist()


@pytest.mark.parametrize("adjuster", ADJUSTERS, ids=lambda stage: type(stage).__name__)
@given(data=st.data())
def test_an_adjuster_gives_finite_scores_that_permute_with_their_candidates(
    adjuster: Adjuster, data: st.DataObject
) -> None:
    known, contexts = data.draw(batches())
    contexts = _wishing(data, contexts)
    pipeline = PIPELINES["home"]
    merged = pipeline.retrieve(contexts, pipeline.eligible(contexts))
    merged = merged.scored(merged.signals.sum(axis=1) - np.float32(0.5))
    order = np.array(data.draw(st.permutations(range(len(merged)))), dtype=np.int64)

    scores = adjuster.adjust(contexts, merged)

    assert np.isfinite(scores).all()
    assert adjuster.adjust(contexts, merged.take(order)) == pytest.approx(scores[order])
    for query in range(len(contexts)):
        own = merged.take(merged.queries == query)
        own = replace(own, queries=np.zeros_like(own.queries))
        alone = adjuster.adjust(_one(contexts, known, query), own)
        assert scores[merged.queries == query] == pytest.approx(alone)


@pytest.mark.parametrize("placement", PIPELINES)
@given(data=st.data())
@settings(max_examples=200)
def test_a_pipeline_fills_every_list_with_eligible_items(
    placement: str, data: st.DataObject
) -> None:
    _, contexts = data.draw(batches())
    pipeline: Pipeline = PIPELINES[placement]

    listed = pipeline.run(contexts)

    eligible = pipeline.eligible(contexts)
    assert eligible.counts().tolist() == [
        int(eligible.of_query(q).sum()) for q in range(len(contexts))
    ]
    for query, limit in enumerate(contexts.limits(pipeline.size)):
        rows = listed.rows[listed.queries == query]
        assert eligible.of_query(query)[rows].all()
        assert len(set(rows.tolist())) == len(rows) == min(limit, eligible.counts()[query])


@pytest.mark.parametrize("placement", PIPELINES)
@given(data=st.data())
@settings(max_examples=200)
def test_newcomers_leave_a_list_its_length_its_first_item_and_its_order(
    placement: str, data: st.DataObject
) -> None:
    _, contexts = data.draw(batches())
    pipeline = PIPELINES[placement]

    listed = pipeline.run(contexts)

    ranked = replace(pipeline, newcomers=None).run(contexts)
    assert listed.queries.tolist() == ranked.queries.tolist()
    for query in range(len(contexts)):
        new, old = (found.rows[found.queries == query].tolist() for found in (listed, ranked))
        kept = [row for row in new if row in old]
        assert kept == [row for row in old if row in kept]
        assert new[:1] == old[:1]


@pytest.mark.parametrize("placement", PIPELINES)
@given(data=st.data())
def test_a_pipeline_answers_a_batch_as_it_answers_its_queries_one_by_one(
    placement: str, data: st.DataObject
) -> None:
    known, contexts = data.draw(batches())
    pipeline = PIPELINES[placement]

    together = pipeline.run(contexts)

    for query in range(len(contexts)):
        alone = pipeline.run(_one(contexts, known, query))
        mine = together.take(together.queries == query)
        assert mine.scores == pytest.approx(alone.scores, abs=1e-4)
        if np.all(np.abs(np.diff(alone.scores)) > 1e-3):  # nearly equal scores may change places
            assert mine.rows.tolist() == alone.rows.tolist()


def _wishing(data: st.DataObject, contexts: Contexts) -> Contexts:
    """Return the contexts of queries that wish for a diversity and a rotation of their own."""
    wishes = [Selection(data.draw(shares), data.draw(shares)) for _ in contexts.queries]
    return contexts.asking(
        [
            replace(query, selection=wish)
            for query, wish in zip(contexts.queries, wishes, strict=True)
        ]
    )


def _scores(found: Candidates) -> dict[int, float]:
    return dict(zip(found.rows.tolist(), found.scores.tolist(), strict=True))
