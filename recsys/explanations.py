"""Why an item is in a list: a code, the items that brought it, and one sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from recsys.anchors import events_with, of_bought_brands
from recsys.arrays import Mask, Rows, Scores, Times
from recsys.candidates import Candidates
from recsys.catalog import Catalog
from recsys.context import Contexts
from recsys.events import EventType
from recsys.habits import habits_with
from recsys.ids import ItemId
from recsys.languages.language import Language, Languages
from recsys.languages.reading import shipped
from recsys.pipeline.pipeline import NEWCOMERS, Pipeline
from recsys.query import Contribution, Reason, ReasonCode

CODES = {
    "nearest": ReasonCode.LIKE_YOUR_TASTE,
    "similar_to_history": ReasonCode.SIMILAR_TO_HISTORY,
    "similar_to_seeds": ReasonCode.SIMILAR_TO_SEED,
    "buy_again": ReasonCode.BOUGHT_BEFORE,
    "bought_lately": ReasonCode.BOUGHT_BEFORE,
    "popular": ReasonCode.POPULAR,
    "trending": ReasonCode.TRENDING,
    NEWCOMERS: ReasonCode.NEW,
}
"""What each source says by itself; one that is not named here says what `popular` says."""

FILLS_ANY_LIST = "popular"
"""The source behind an item of which no source has anything to say."""

_BECAUSE = {
    EventType.PURCHASE: "because_you_bought",
    EventType.LIKE: "because_you_liked",
    EventType.RATING: "because_you_liked",
    EventType.ADD_TO_WISHLIST: "because_you_wished",
    EventType.ADD_TO_CART: "because_you_carted",
}
"""How it is said that an item goes with another, by what was done with that; else it was viewed."""

_UNANCHORED = (ReasonCode.NEW, ReasonCode.TRENDING, ReasonCode.POPULAR)


def shares_of_sources(pipeline: Pipeline, listed: Candidates) -> Scores:
    """Return the (n, n_names) share of each source in the scores; each row adds up to 1.

    Where no source counts, what they said of the item is shared out as it is.
    """
    parts = np.maximum(pipeline.contributions(listed), 0)
    idle = parts.sum(axis=1) <= 0
    parts[idle] = listed.signals[idle]
    silent = parts.sum(axis=1) <= 0
    names = pipeline.source_names
    parts[silent, names.index(FILLS_ANY_LIST) if FILLS_ANY_LIST in names else 0] = 1
    shares: Scores = parts / parts.sum(axis=1, keepdims=True)
    return shares


def main_sources(pipeline: Pipeline, listed: Candidates) -> Rows:
    """Return, for each candidate, the place of the source that added most to its score."""
    main: Rows = shares_of_sources(pipeline, listed).argmax(axis=1).astype(np.int32)
    return main


def contributions_of(shares: Scores, names: tuple[str, ...]) -> Iterator[tuple[Contribution, ...]]:
    """Yield each item's (n, n_names) shares by the names of the sources, greatest first."""
    order = np.argsort(-shares, axis=1, kind="stable")
    sorted_shares = np.take_along_axis(shares, order, axis=1).tolist()
    for places, own in zip(order.tolist(), sorted_shares, strict=True):
        found = zip(places, own, strict=True)
        yield tuple(Contribution(names[place], share) for place, share in found if share > 0)


def reasons(
    pipeline: Pipeline,
    contexts: Contexts,
    listed: Candidates,
    catalog: Catalog,
    languages: Languages | None = None,
) -> list[Reason]:
    """Return why each (n,) candidate of the final lists is there, in its query's language.

    The reason is that of the source that added most; its anchors are that source's own.
    languages: those that come with the package, unless told otherwise.
    """
    words = [(languages or shipped()).of(query.language) for query in contexts.queries]
    shares, names = shares_of_sources(pipeline, listed), pipeline.source_names
    main = shares.argmax(axis=1).astype(np.int32)
    cases = _cases(pipeline, contexts, listed, main, catalog.brands)
    parts = contributions_of(shares, names)
    return [
        _reason(case, catalog, words[query], contributions)
        for query, case, contributions in zip(listed.queries.tolist(), cases, parts, strict=True)
    ]


def reworded(reason: Reason, code: ReasonCode, language: Language) -> Reason:
    """Return a reason for the same item that needs no anchor, such as that the shop picked it."""
    text = language.sentence(f"reasons.{code}", {})
    return replace(reason, code=code, text=text, anchors=(), anchor_event=None)


@dataclass(frozen=True, slots=True)
class _Case:
    """One item of a list. due: None without a habit. overdue: whether that is past."""

    code: ReasonCode
    row: int
    shown: int
    anchor: int
    event: EventType | None
    times: int
    due: datetime | None
    quantity: float
    near: bool
    overdue: bool
    known_brand: bool


def _cases(
    pipeline: Pipeline, contexts: Contexts, listed: Candidates, main: Rows, brands: Rows
) -> Iterator[_Case]:
    """Yield what is known of each item, by the source that brought it."""
    anchors = _anchors(pipeline, contexts, listed, main)
    habits = habits_with(contexts, listed.queries, listed.rows)
    now = contexts.now[listed.queries]
    due, lasting = habits.due(), habits.lasting(now)
    shown = contexts.shelf.shown(listed.rows)
    codes = [CODES.get(name, ReasonCode.POPULAR) for name in pipeline.source_names]
    columns = (
        (codes[place] for place in main.tolist()),
        listed.rows.tolist(),
        shown.tolist(),
        anchors.tolist(),
        events_with(contexts, listed.queries, anchors),
        habits.n_times.tolist(),
        _instants(due, lasting),
        np.where(lasting, habits.quantities, 0.0).tolist(),
        habits.near(now).tolist(),
        (due < now).tolist(),
        of_bought_brands(contexts, brands, listed.queries, shown).tolist(),
    )
    for columns_of_one in zip(*columns, strict=True):
        yield _Case(*columns_of_one)


def _anchors(pipeline: Pipeline, contexts: Contexts, listed: Candidates, main: Rows) -> Rows:
    """Return the (n,) item that brought each candidate, by its main source; -1 for none."""
    anchors = np.full(len(listed), -1, dtype=np.int32)
    for place in np.unique(main[main < len(pipeline.sources)]):
        chosen = main == place
        source = pipeline.sources[place].source
        anchors[chosen] = source.anchors(contexts, listed.take(chosen))
    return anchors


def _instants(times: Times, there: Mask) -> list[datetime | None]:
    seconds = times.astype(np.int64).tolist()
    return [
        datetime.fromtimestamp(second, UTC) if known else None
        for second, known in zip(seconds, there.tolist(), strict=True)
    ]


def _reason(
    case: _Case, catalog: Catalog, language: Language, contributions: tuple[Contribution, ...]
) -> Reason:
    code = _code(case)
    anchored = case.anchor >= 0 and code not in (*_UNANCHORED, ReasonCode.NEW_FROM_BRAND)
    history = code is ReasonCode.SIMILAR_TO_HISTORY
    return Reason(
        code,
        language.sentence(
            f"reasons.{_key(code, case)}", _said(case, catalog, language), case.times
        ),
        (ItemId(catalog.vocabulary.id(case.anchor)),) if anchored else (),
        case.event if history or code is ReasonCode.LIKE_YOUR_TASTE else None,
        case.due,
        case.quantity,
        contributions,
    )


def _code(case: _Case) -> ReasonCode:
    """Return the code of what the source says, seen beside what else is known of the item."""
    code = case.code
    if code is ReasonCode.NEW:
        return ReasonCode.NEW_FROM_BRAND if case.known_brand else code
    if case.anchor < 0:
        return code if code in _UNANCHORED else ReasonCode.POPULAR
    if case.anchor == case.row or code is ReasonCode.BOUGHT_BEFORE:
        if not case.times:
            return ReasonCode.SEEN_BEFORE
        return ReasonCode.DUE_AGAIN if case.near else ReasonCode.BOUGHT_BEFORE
    return code


def _key(code: ReasonCode, case: _Case) -> str:
    """Return which sentence says it."""
    if code is ReasonCode.DUE_AGAIN:
        return "overdue_again" if case.overdue else "due_again"
    if code is ReasonCode.SIMILAR_TO_HISTORY:
        return _BECAUSE.get(case.event or EventType.DETAIL_VIEW, "because_you_viewed")
    return code


def _said(case: _Case, catalog: Catalog, language: Language) -> Mapping[str, str]:
    """Return what the places of sentences hold for one item."""
    category = catalog.category_names[catalog.categories[case.shown]]
    return {
        "anchor": catalog.name(case.anchor) if case.anchor >= 0 else "",
        "times": str(case.times),
        "date": language.date(case.due) if case.due else "",
        "brand": catalog.brand_names[catalog.brands[case.shown]],
        "category": category.rpartition(">")[2].strip(),
    }
