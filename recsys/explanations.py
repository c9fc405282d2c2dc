"""Why an item is in a list: a code, the items that brought it, and one sentence."""

from __future__ import annotations

import numpy as np

from recsys.arrays import Rows, keys_of
from recsys.candidates import Candidates
from recsys.catalog import Catalog
from recsys.context import Contexts
from recsys.pipeline.pipeline import NEWCOMERS, Pipeline
from recsys.query import Reason, ReasonCode

CODES = {
    "nearest": ReasonCode.LIKE_YOUR_TASTE,
    "similar_to_history": ReasonCode.SIMILAR_TO_HISTORY,
    "similar_to_seeds": ReasonCode.SIMILAR_TO_SEED,
    "buy_again": ReasonCode.BOUGHT_BEFORE,
    "bought_lately": ReasonCode.BOUGHT_BEFORE,
    "popular": ReasonCode.POPULAR,
    NEWCOMERS: ReasonCode.NEW,
}


def main_sources(pipeline: Pipeline, listed: Candidates) -> Rows:
    """Return, for each candidate, the place of the source that added most to its score."""
    main: Rows = pipeline.contributions(listed).argmax(axis=1).astype(np.int32)
    return main


def reasons(
    pipeline: Pipeline, contexts: Contexts, listed: Candidates, catalog: Catalog
) -> list[Reason]:
    """Return why each (n,) candidate of the final lists is there.

    The reason is that of the source that added most; its anchors are that source's own.
    """
    main = main_sources(pipeline, listed)
    anchors = np.full(len(listed), -1, dtype=np.int32)
    for place in np.unique(main[main < len(pipeline.sources)]):
        chosen = main == place
        source = pipeline.sources[place].source
        anchors[chosen] = source.anchors(contexts, listed.take(chosen))
    counts = _times_bought(contexts, listed)
    names = pipeline.source_names
    return [
        _reason(CODES[names[place]], row, anchor, count, catalog)
        for place, row, anchor, count in zip(
            main.tolist(), listed.rows.tolist(), anchors.tolist(), counts.tolist(), strict=True
        )
    ]


def _reason(code: ReasonCode, row: int, anchor: int, times_bought: int, catalog: Catalog) -> Reason:
    if code is ReasonCode.NEW:
        return Reason(code, _sentence(code, "", 0))
    if anchor < 0:
        return Reason(ReasonCode.POPULAR, "Popular with other customers right now")
    if anchor == row and code is not ReasonCode.BOUGHT_BEFORE:
        code = ReasonCode.BOUGHT_BEFORE if times_bought else ReasonCode.SEEN_BEFORE
    anchors = (catalog.vocabulary.id(anchor),)
    return Reason(code, _sentence(code, catalog.name(anchor), times_bought), anchors)


def _sentence(code: ReasonCode, anchor: str, times_bought: int) -> str:
    match code:
        case ReasonCode.BOUGHT_BEFORE:
            often = {1: "once", 2: "twice"}.get(times_bought, f"{times_bought} times")
            return f"You have bought this {often}"
        case ReasonCode.SEEN_BEFORE:
            return "You showed interest in this before"
        case ReasonCode.SIMILAR_TO_SEED:
            return f"Often bought together with {anchor}"
        case ReasonCode.SIMILAR_TO_HISTORY:
            return f"Often bought together with {anchor}, which you know"
        case ReasonCode.LIKE_YOUR_TASTE:
            return f"Customers with your taste buy this, mostly because of {anchor}"
        case ReasonCode.NEW:
            return "It is new here"
        case ReasonCode.POPULAR:
            return "Popular with other customers right now"


def _times_bought(contexts: Contexts, listed: Candidates) -> Rows:
    """Return how often each candidate was bought by its query's customer, as far as remembered."""
    bought = keys_of(contexts.purchases.owners(), contexts.purchases.rows)
    pairs, counts = np.unique(bought, return_counts=True)
    wanted = keys_of(listed.queries, listed.rows)
    places = np.searchsorted(pairs, wanted)
    places[places == len(pairs)] = 0
    if not len(pairs):
        return np.zeros(len(listed), dtype=np.int32)
    return np.where(pairs[places] == wanted, counts[places], 0).astype(np.int32)
