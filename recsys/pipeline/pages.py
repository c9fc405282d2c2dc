"""Pages: several lists for one asker, none of which repeats an item of another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from recsys.arrays import Rows
from recsys.context import Contexts
from recsys.pipeline.pipeline import Filled, Pipeline
from recsys.query import Page, Query
from recsys.timelines import Ragged


@dataclass(frozen=True, slots=True)
class Place:
    """Where a list stands: the page's place in the batch, and the slot's on the page."""

    page: int
    slot: int


@dataclass(frozen=True, slots=True)
class Part:
    """Lists that one placement made together.

    places: where each query's list stands.
    fills: whether the lists stand behind others, which their own placement could not fill.
    """

    pipeline: Pipeline
    contexts: Contexts
    filled: Filled
    places: tuple[Place, ...]
    fills: bool


def composed(
    pages: Sequence[Page], contexts: Contexts, pipelines: Mapping[str, Pipeline]
) -> Iterator[Part]:
    """Yield the lists of all pages, slot by slot, and what fills them behind them.

    contexts: of the pages' askers, one each. pipelines: by placement, of all that are asked for.

    A list is made of what the lists before it on its page left. Laws: no page holds an item twice;
    a batch of pages gives what its pages give one by one.
    """
    taken = [np.empty(0, dtype=np.int32) for _ in pages]
    for slot in range(max((len(page.queries) for page in pages), default=0)):
        asked = [
            _Asked(page.queries[slot], Place(number, slot))
            for number, page in enumerate(pages)
            if slot < len(page.queries)
        ]
        for group in _alike(asked):
            for part in _filled(group, contexts, pipelines, taken):
                _take(part, taken)
                yield part


@dataclass(frozen=True, slots=True)
class _Asked:
    """A list that is asked for, and where it is to stand."""

    query: Query
    place: Place


def _alike(asked: Sequence[_Asked]) -> Iterator[list[_Asked]]:
    """Yield the groups of lists that one pipeline can make together."""

    def kind(one: _Asked) -> tuple[str, str]:
        return one.query.placement, one.query.filter

    for _, group in groupby(sorted(asked, key=kind), key=kind):
        yield list(group)


def _filled(
    group: Sequence[_Asked],
    contexts: Contexts,
    pipelines: Mapping[str, Pipeline],
    taken: Sequence[Rows],
) -> Iterator[Part]:
    """Yield the lists of a group, and then what fills those of them that came out short."""
    pipeline = pipelines[group[0].query.placement]
    part = _part(group, contexts, pipeline, taken)
    yield part
    missing = (part.filled.wanted - part.filled.lengths()).tolist()
    short = [
        replace(one, query=replace(one.query, placement=pipeline.fallback, limit=n_missing))
        for one, n_missing in zip(group, missing, strict=True)
        if n_missing > 0
    ]
    if short and pipeline.fallback:
        yield _part(short, contexts, pipelines[pipeline.fallback], taken, fills=True)


def _part(
    group: Sequence[_Asked],
    contexts: Contexts,
    pipeline: Pipeline,
    taken: Sequence[Rows],
    *,
    fills: bool = False,
) -> Part:
    pages: Rows = np.array([one.place.page for one in group], dtype=np.int32)
    own = contexts.of(pages, [one.query for one in group])
    before = Ragged.of([taken[page] for page in pages.tolist()])
    places = tuple(one.place for one in group)
    return Part(pipeline, own, pipeline.fill(own, before), places, fills)


def _take(part: Part, taken: list[Rows]) -> None:
    """Note what the lists of a part hold, so that no later list of their pages repeats it."""
    listed = part.filled.listed
    for query, place in enumerate(part.places):
        own = listed.rows[listed.queries == query]
        taken[place.page] = np.concatenate((taken[place.page], own))
