"""The law of explanations: what is named is what did it, in the tiny shop and in drawn ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.assortment import Assortment
from recsys.bundle import ModelBundle
from recsys.conditions import Conditions
from recsys.context import Contexts
from recsys.events import EventType
from recsys.explanations import reasons
from recsys.ids import ItemId
from recsys.languages.reading import shipped
from recsys.pipeline.compile import compile_placements
from recsys.pipeline.pages import Placements, composed
from recsys.pipeline.pipeline import Pipeline
from recsys.pipeline.placement import PlacementConfig, parse_placements
from recsys.query import Page, Query, Reason, ReasonCode, Scene
from recsys.state import UserState
from recsys.why.explaining import case_of, explained
from recsys.why.explanation import FindingCode
from tests import shop
from tests.drawn_shops import N_ITEMS, drawn_bundle

TINY = shop.bundle()
PLACEMENTS = parse_placements(
    shop.PLACEMENTS.replace('"popular", k = 10', '"popular", k = 3')
    + """
newcomers = { share = 0.3, days = 30, evidence = 5 }

[placements.again]
situation = "visit"
size = 3
filters = [{ kind = "available" }]
sources = [{ kind = "buy_again", k = 10 }]
fallback = "home"
"""
)
CONDITIONS = Conditions.of(Assortment.of(TINY.catalog))
KNOWN = Placements(compile_placements(PLACEMENTS, TINY, CONDITIONS), CONDITIONS)

PERSONAL = ("buy_again", "nearest", "similar_to_history")
KINDS = (EventType.PURCHASE, EventType.LIKE, EventType.DETAIL_VIEW, EventType.ADD_TO_CART)

tiny_events = st.tuples(
    st.sampled_from(KINDS), st.sampled_from(shop.ITEMS[:9]), st.floats(1.5, 60.0)
)


def without_main(pipeline: Pipeline, contexts: Contexts, row: int, name: str) -> float:
    """Return a source's own score of a row; 0 where it does not find it."""
    named = next(one for one in pipeline.sources if one.name == name)
    eligible = pipeline.eligible(contexts)
    found = named.source.retrieve(contexts, eligible, len(eligible.shared))
    scores = found.scores[found.rows == row]
    return float(scores[0]) if len(scores) else 0.0


def check_anchors(bundle: ModelBundle, query: Query, known: Sequence[UserState]) -> int:
    """Check every anchor of a list; `known`: the state, then that without each item by its row.

    Returns how many were checked.
    """
    pipeline = compile_placements(PLACEMENTS, bundle)["home"]
    assortment, n_checked = Assortment.of(bundle.catalog), 0

    def contexts(state: UserState) -> Contexts:
        return Contexts.resolve([query], [state], assortment=assortment, interest=bundle.interest)

    asked = contexts(known[0])
    listed = pipeline.run(asked)
    found = reasons(pipeline, asked, listed, bundle.catalog)
    for row, reason in zip(listed.rows.tolist(), found, strict=True):
        source = reason.contributions[0].source
        if not reason.anchors or source not in PERSONAL:
            continue
        anchor = int(bundle.catalog.vocabulary.rows(reason.anchors)[0])
        before = without_main(pipeline, asked, row, source)
        after = without_main(pipeline, contexts(known[1 + anchor]), row, source)
        assert after < before, (reason, before, after)
        n_checked += 1
    return n_checked


@given(st.lists(tiny_events, min_size=1, max_size=8))
def test_without_the_named_anchor_what_brought_the_item_says_less_of_it(
    events: list[tuple[EventType, str, float]],
) -> None:
    without = [shop.state(*(one for one in events if one[1] != item)) for item in shop.ITEMS]

    check_anchors(TINY, shop.query(limit=9), [shop.state(*events), *without])


@pytest.mark.parametrize("seed", range(40))
def test_without_the_named_anchor_a_drawn_shop_says_less_of_the_item(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bought = rng.choice(N_ITEMS, 6, replace=False).tolist()
    known = shop.bought_rows(bought)
    without = [shop.bought_rows([one for one in bought if one != row]) for row in range(N_ITEMS)]

    n_checked = check_anchors(drawn_bundle(seed), shop.query(limit=12), [known, *without])

    assert n_checked > 0


@pytest.mark.parametrize("name", ["bought_together", "also_viewed", "alike"])
@pytest.mark.parametrize("seed", range(10))
def test_without_the_named_item_at_hand_what_goes_with_it_is_said_less_of(
    seed: int, name: str
) -> None:
    bundle, rng = drawn_bundle(seed), np.random.default_rng(seed)
    pipeline = compile_placements({"page": _of_source(name)}, bundle)["page"]
    seeds = [ItemId(f"i{row}") for row in rng.choice(N_ITEMS, 4, replace=False).tolist()]

    def contexts(without: ItemId | None = None) -> Contexts:
        query = shop.query("page", seeds=tuple(one for one in seeds if one != without), limit=12)
        assortment = Assortment.of(bundle.catalog)
        unknown = UserState.unknown()
        return Contexts.resolve([query], [unknown], assortment=assortment, interest=bundle.interest)

    listed = pipeline.run(contexts())
    found = reasons(pipeline, contexts(), listed, bundle.catalog)

    assert len(found) > 3
    for row, reason in zip(listed.rows.tolist(), found, strict=True):
        whole = without_main(pipeline, contexts(), row, name)
        left = {one: without_main(pipeline, contexts(one), row, name) for one in seeds}
        assert left[reason.anchors[0]] < whole
        assert left[reason.anchors[0]] == pytest.approx(min(left.values()), abs=1e-5)


@given(st.lists(st.sampled_from(shop.ITEMS[:8]), min_size=1, max_size=4, unique=True))
def test_without_the_named_step_of_a_session_what_came_after_it_is_said_less_of(
    steps: list[str],
) -> None:
    pipeline = compile_placements({"page": _of_source("session")}, TINY)["page"]

    def contexts(looked_at: Sequence[str]) -> Contexts:
        # The others keep their places in the session: whatever is taken away, tea was looked at.
        looks = [
            (EventType.DETAIL_VIEW, item, place / 1_440) for place, item in enumerate(looked_at)
        ]
        return shop.contexts([shop.state(*looks)], [shop.query("page", limit=9)])

    listed = pipeline.run(contexts(steps))
    found = reasons(pipeline, contexts(steps), listed, TINY.catalog)

    assert len(found) >= len(steps)
    for row, reason in zip(listed.rows.tolist(), found, strict=True):
        own = ReasonCode.SEEN_BEFORE if reason.anchors[0] == shop.ITEMS[row] else None
        assert reason.code is (own or ReasonCode.SIMILAR_TO_HISTORY)
        without = ["tea" if step == reason.anchors[0] else step for step in steps]
        whole = without_main(pipeline, contexts(steps), row, "session")
        assert without_main(pipeline, contexts(without), row, "session") < whole


def _of_source(name: str) -> PlacementConfig:
    text = f"""
    [placements.page]
    situation = "basket"
    size = 12
    filters = [{{ kind = "not_seeds" }}]
    sources = [{{ kind = "{name}", k = 40 }}]
    """
    return parse_placements(text)["page"]


@pytest.mark.parametrize("seed", range(20))
def test_without_the_named_source_the_score_falls_by_its_share(seed: int) -> None:
    bundle, rng = drawn_bundle(seed), np.random.default_rng(seed)
    pipeline = compile_placements(PLACEMENTS, bundle)["home"]
    state = shop.bought_rows(rng.choice(N_ITEMS, 6, replace=False).tolist())
    contexts = Contexts.resolve(
        [shop.query(limit=12)],
        [state],
        assortment=Assortment.of(bundle.catalog),
        interest=bundle.interest,
    )
    listed = pipeline.run(contexts)

    found: list[Reason] = reasons(pipeline, contexts, listed, bundle.catalog)

    n_sources = len(pipeline.sources)
    for place, reason in enumerate(found):
        main = reason.contributions[0]
        if main.source not in pipeline.proposing:
            continue
        own = replace(listed.take(np.array([place])), signals=listed.signals[[place], :n_sources])
        silent = own.signals.copy()
        silent[:, pipeline.proposing.index(main.source)] = 0
        less = pipeline.ranker.score(contexts, replace(own, signals=silent))
        whole = pipeline.ranker.score(contexts, own)
        assert less[0] == pytest.approx(whole[0] * (1 - main.share), abs=1e-6)
        assert less[0] < whole[0]


items = st.sampled_from(shop.ITEMS).map(ItemId)
some = st.lists(items, max_size=2).map(tuple)
events = st.tuples(st.sampled_from(EventType), items, st.floats(0.0, 60.0))
KEPT_OUT = {FindingCode.REFUSED, FindingCode.EXCLUDED, FindingCode.NOT_AVAILABLE}
LEFT_OUT = {FindingCode.OUTRANKED, FindingCode.PASSED_OVER, FindingCode.MADE_ROOM}


@st.composite
def queries(draw: st.DrawFn) -> Query:
    return shop.query(
        draw(st.sampled_from(sorted(PLACEMENTS))),
        seeds=draw(some),
        excluded=draw(some),
        scene=Scene(cart=draw(some)),
        limit=draw(st.integers(0, 6)),
        filter=draw(st.sampled_from(("", "price <= 6", "not category in customer.categories"))),
    )


@given(queries(), st.lists(events, max_size=8), items)
def test_an_explanation_says_what_became_of_the_item(
    query: Query, done: list[tuple[EventType, str, float]], item: ItemId
) -> None:
    page, contexts = Page((query,)), shop.contexts([shop.state(*done)], [query])
    case = case_of(item, page, contexts, KNOWN, personalised=True)
    assert case.trace is not None

    found = explained(case, shipped())

    parts = list(composed([page], contexts, KNOWN))
    listed = [row for part in parts for row in shop.names(part.filled.listed.rows)]
    codes = {one.code for one in found.findings}
    assert found.position == (listed.index(item) + 1 if item in listed else 0)
    assert bool(codes & KEPT_OUT) == (not case.trace.allowed)
    assert bool(found.refusals) == (FindingCode.REFUSED in codes)
    assert (found.ranking is not None) == any(one.proposed for one in found.proposals)
    assert (found.reason is not None) == found.listed
    if found.listed:
        assert found.cause in (FindingCode.LISTED, FindingCode.FILLS_UP)
    elif not case.trace.allowed:
        assert found.cause in KEPT_OUT
    else:
        wanted = LEFT_OUT if found.ranking else {FindingCode.NOT_PROPOSED}
        assert found.cause in wanted


@given(queries(), st.lists(events, max_size=8))
def test_the_stages_that_are_explained_are_those_that_make_the_list(
    query: Query, done: list[tuple[EventType, str, float]]
) -> None:
    contexts = shop.contexts([shop.state(*done)], [query])
    case = case_of(ItemId("bread"), Page((query,)), contexts, KNOWN, personalised=True)
    assert case.trace is not None

    trace = case.trace

    listed = trace.parts[0].filled.listed
    own = listed.take(listed.signals[:, len(trace.pipeline.sources) :].sum(axis=1) == 0)
    assert set(own.rows.tolist()) <= set(trace.selected.rows.tolist())
    assert len(listed) == len(trace.selected)
    counts = trace.eligible.counts()
    assert int(counts[0]) == trace.parts[0].filled.report(0).eligible
