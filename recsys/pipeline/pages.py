"""Pages: several lists for one asker, none of which repeats an item of another."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from recsys.arrays import Rows, frozen
from recsys.conditions import Conditions, Meets, Needs, key_of
from recsys.context import Contexts
from recsys.errors import NotFound
from recsys.named_rows import rows_of
from recsys.pipeline.filled import Filled
from recsys.pipeline.filters import Among
from recsys.pipeline.pipeline import NOTHING_MORE, Additions, NamedFilter, Pipeline
from recsys.query import Page, Query
from recsys.rules.book import NO_RULES, Ground, RuleBook, needs_of, with_rules
from recsys.rules.rule import Rule
from recsys.timelines import Ragged

CANDIDATES = "candidates"
"""What reports call the filter that keeps a list within the items of its request."""

RulesOfSlots = tuple[tuple[Rule, ...], ...]
"""The rules in force for the list of each slot, those first that have their way."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a list stands: the page's place in the batch, and the slot's on the page."""

    page: int
    slot: int


NO_ROWS: Rows = frozen(np.empty(0, dtype=np.int32))

Shown = Mapping[Place, Rows]
"""By where a list stands: (n,) int32 products in the lists that it goes on from."""

NOTHING_SHOWN: Shown = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Part:
    """Lists that one placement made together.

    places: where each query's list stands.
    fills: whether the lists stand behind others, which their own placement could not fill.
    more: what they had beside their placement.
    """

    pipeline: Pipeline
    contexts: Contexts
    filled: Filled
    places: tuple[Place, ...]
    fills: bool
    more: Additions = NOTHING_MORE

    @property
    def about(self) -> Ragged:
        """The items of each asker that their list is about, where it is about any of them."""
        own = self.contexts
        return own.related if own.about.of_the_asker else Ragged.empty(len(own))

    def rows(self, pages: Rows, n_pages: int) -> Ragged:
        """Return the rows in the lists, by page; `pages` says whose each list is."""
        listed = self.filled.listed
        return Ragged.of_pairs(pages[listed.queries], listed.rows, n_pages)


@dataclass(frozen=True, slots=True)
class Placements:
    """Every placement over one bundle.

    pipelines: by name. conditions: over the bundle's catalog, for what requests state.
    rules: what the shop wants of its lists.
    """

    pipelines: Mapping[str, Pipeline]
    conditions: Conditions
    rules: RuleBook = NO_RULES

    def check(self, page: Page) -> None:
        """Raise NotFound for a placement that is not there, InvalidFilter for a wrong filter."""
        for slot, query in enumerate(page.queries):
            if query.placement not in self.pipelines:
                at = page.field(slot, "placement")
                raise unknown_placement(query.placement, self.pipelines, at=at)
            if query.filter:
                self.conditions.predicate(query.filter, at=page.field(slot, "filter"))

    def rules_of(self, page: Page, contexts: Contexts, number: int) -> RulesOfSlots:
        """Return the rules in force for each list of a page, by the asker's place in a batch."""
        if not self.rules.rules:
            return ((),) * len(page.queries)
        return tuple(
            self.rules.in_force(query, contexts, number, self.conditions) for query in page.queries
        )

    def additions(self, query: Query) -> Additions:
        """Return what a query asks for beside its placement."""
        if not query.filter and not query.candidates:
            return NOTHING_MORE
        parts = self.conditions.predicate(query.filter).parts() if query.filter else ()
        filters = tuple(NamedFilter(part.text, Meets(part, self.conditions)) for part in parts)
        if not query.candidates:
            return Additions(filters)
        rows, (unknown,) = rows_of([query.candidates], self.conditions.values.assortment)
        return Additions(filters, (NamedFilter(CANDIDATES, Among(rows.rows)),), unknown)

    def needs(self, query: Query) -> Needs:
        """Return the fields of customer and page that decide what a query may show."""
        needs = self.pipelines[query.placement].needs
        return needs | self.conditions.predicate(query.filter).needs if query.filter else needs


def composed(
    pages: Sequence[Page],
    contexts: Contexts,
    placements: Placements,
    *,
    shown: Shown = NOTHING_SHOWN,
) -> Iterator[Part]:
    """Yield the lists of all pages, those of a page slot by slot, and what fills them behind them.

    contexts: of the pages' askers, one each. placements: those that are asked for among them.
    shown: what the lists hold that a list goes on from; it holds none of that.

    A list is made of what the lists before it on its page left. Laws: no page holds an item twice;
    a batch of pages gives what its pages give one by one.
    """
    for numbers, rules in _alike(pages, contexts, placements):
        own = contexts if len(numbers) == len(pages) else contexts.of(numbers)
        alike = [pages[one] for one in numbers]
        yield from _Composition(alike, numbers, own, placements, rules, shown).parts()


def unknown_placement(name: str, known: Iterable[str], *, at: str = "placement") -> NotFound:
    """Return the error of a placement that is not configured; at: the path of its field."""
    names = ", ".join(sorted(known))
    return NotFound(
        f"there is no placement {name!r}; those that exist: {names}",
        reason="UNKNOWN_PLACEMENT",
        metadata={"placement": name, "known": names, "field": at},
    )


def _alike(
    pages: Sequence[Page], contexts: Contexts, placements: Placements
) -> Iterator[tuple[Rows, RulesOfSlots]]:
    """Yield the numbers of the pages that ask for the same lists of the same items.

    With them come the rules that are in force for each of their slots.
    """
    groups: dict[Hashable, list[int]] = {}
    rules: dict[Hashable, RulesOfSlots] = {}
    for number, page in enumerate(pages):
        ruled = placements.rules_of(page, contexts, number)
        needs = frozenset().union(*(placements.needs(query) for query in page.queries))
        needs |= needs_of((rule for slot in ruled for rule in slot), placements.conditions)
        values = placements.conditions.values_of(needs, contexts, number)
        lists = tuple((query.placement, query.filter, query.candidates) for query in page.queries)
        named = tuple(tuple(rule.name for rule in slot) for slot in ruled)
        key: Hashable = (lists, named, key_of(needs, values))
        groups.setdefault(key, []).append(number)
        rules[key] = ruled
    for key, numbers in groups.items():
        yield np.array(numbers, dtype=np.int32), rules[key]


@dataclass(frozen=True, slots=True)
class _Composition:
    """Pages that ask for the same lists.

    numbers: their places in the batch. rules: in force for the list of each slot, and for what
        fills it up. shown: what a list may not hold, since it goes on from others that do.
    """

    pages: Sequence[Page]
    numbers: Rows
    contexts: Contexts
    placements: Placements
    rules: RulesOfSlots
    shown: Shown

    def parts(self) -> Iterator[Part]:
        taken = spoken = Ragged.empty(len(self.pages))
        everyone = np.arange(len(self.pages), dtype=np.int32)
        for slot, first in enumerate(self.pages[0].queries):
            queries = [page.queries[slot] for page in self.pages]
            part = self._part(slot, everyone, queries, taken, spoken=spoken)
            spoken = spoken.joined(part.about)
            taken = taken.joined(part.rows(everyone, len(self.pages)))
            yield part
            fallback = self.placements.pipelines[first.placement].fallback
            missing = part.filled.wanted - part.filled.lengths()
            short = np.flatnonzero(missing > 0).astype(np.int32)
            if fallback and len(short):
                filling = [
                    replace(queries[page], placement=fallback, limit=int(missing[page]))
                    for page in short.tolist()
                ]
                ahead = part.rows(everyone, len(self.pages)).of_queries(short)
                part = self._part(slot, short, filling, taken, ahead=ahead)
                taken = taken.joined(part.rows(short, len(self.pages)))
                yield part

    def _part(
        self,
        slot: int,
        pages: Rows,
        queries: Sequence[Query],
        taken: Ragged,
        *,
        ahead: Ragged | None = None,
        spoken: Ragged | None = None,
    ) -> Part:
        """Return one list of each of these pages.

        ahead: rows of those that they fill up. spoken: what earlier lists of the pages are about.
        """
        every = len(pages) == len(self.pages)
        asked = self.contexts if every else self.contexts.of(pages)
        places = tuple(Place(number, slot) for number in self.numbers[pages].tolist())
        if self.shown:
            shown = [self.shown.get(place, NO_ROWS) for place in places]
            asked = asked.excluding(Ragged.of(shown), apart=slot + 1)
        pipeline = self.placements.pipelines[queries[0].placement]
        own = asked.asking(queries, self._room(), spoken=spoken).relating_to(pipeline.relates_to)
        before = taken if every else taken.of_queries(pages)
        ground = Ground(own, pipeline.size, ahead, more=ahead is None and bool(pipeline.fallback))
        more = self.placements.additions(queries[0])
        more = with_rules(more, self.rules[slot], ground, self.placements.conditions)
        filled = pipeline.fill(own, before, more)
        return Part(pipeline, own, filled, places, fills=ahead is not None, more=more)

    def _room(self) -> int:
        """Return how many items the lists of a page can hold, unless it has but one."""
        queries = self.pages[0].queries
        if len(queries) < 2:
            return 0
        return sum(
            max(
                page.queries[slot].most_items(self.placements.pipelines[first.placement].size)
                for page in self.pages
            )
            for slot, first in enumerate(queries)
        )
