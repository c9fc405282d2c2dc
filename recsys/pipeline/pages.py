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

    def rows(self, pages: Rows, n_pages: int) -> Ragged:
        """Return the rows in the lists, by page; `pages` says whose each list is."""
        listed = self.filled.listed
        return Ragged.of_pairs(pages[listed.queries], listed.rows, n_pages)


def composed(
    pages: Sequence[Page], contexts: Contexts, pipelines: Mapping[str, Pipeline]
) -> Iterator[Part]:
    """Yield the lists of all pages, those of a page slot by slot, and what fills them behind them.

    contexts: of the pages' askers, one each. pipelines: by placement, of all that are asked for.

    A list is made of what the lists before it on its page left. Laws: no page holds an item twice;
    a batch of pages gives what its pages give one by one.
    """
    for numbers in _alike(pages):
        own = contexts if len(numbers) == len(pages) else contexts.of(numbers)
        yield from _Composition([pages[one] for one in numbers], numbers, own, pipelines).parts()


def _alike(pages: Sequence[Page]) -> Iterator[Rows]:
    """Yield the numbers of the pages that ask for the same lists."""

    def lists(number: int) -> list[tuple[str, str]]:
        return [(query.placement, query.filter) for query in pages[number].queries]

    for _, numbers in groupby(sorted(range(len(pages)), key=lists), key=lists):
        yield np.fromiter(numbers, dtype=np.int32)


@dataclass(frozen=True, slots=True)
class _Composition:
    """Pages that ask for the same lists. numbers: their places in the batch."""

    pages: Sequence[Page]
    numbers: Rows
    contexts: Contexts
    pipelines: Mapping[str, Pipeline]

    def parts(self) -> Iterator[Part]:
        taken = Ragged.empty(len(self.pages))
        everyone = np.arange(len(self.pages), dtype=np.int32)
        for slot, first in enumerate(self.pages[0].queries):
            queries = [page.queries[slot] for page in self.pages]
            part = self._part(slot, everyone, queries, taken)
            taken = taken.joined(part.rows(everyone, len(self.pages)))
            yield part
            fallback = self.pipelines[first.placement].fallback
            missing = part.filled.wanted - part.filled.lengths()
            short = np.flatnonzero(missing > 0).astype(np.int32)
            if fallback and len(short):
                filling = [
                    replace(queries[page], placement=fallback, limit=int(missing[page]))
                    for page in short.tolist()
                ]
                part = self._part(slot, short, filling, taken, fills=True)
                taken = taken.joined(part.rows(short, len(self.pages)))
                yield part

    def _part(
        self,
        slot: int,
        pages: Rows,
        queries: Sequence[Query],
        taken: Ragged,
        *,
        fills: bool = False,
    ) -> Part:
        """Return one list of each of these pages."""
        every = len(pages) == len(self.pages)
        own = (self.contexts if every else self.contexts.of(pages)).asking(queries, self._room())
        pipeline = self.pipelines[queries[0].placement]
        filled = pipeline.fill(own, taken if every else taken.of_queries(pages))
        places = tuple(Place(number, slot) for number in self.numbers[pages].tolist())
        return Part(pipeline, own, filled, places, fills)

    def _room(self) -> int:
        """Return how many items the lists of a page can hold, unless it has but one."""
        queries = self.pages[0].queries
        if len(queries) < 2:
            return 0
        return sum(
            max(
                page.queries[slot].limit or self.pipelines[first.placement].size
                for page in self.pages
            )
            for slot, first in enumerate(queries)
        )
