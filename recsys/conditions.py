"""Conditions: the filters that placements and requests state, over one catalog."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from recsys.arrays import Mask
from recsys.asker_values import Asker
from recsys.assortment import Assortment
from recsys.catalog_words import CatalogWords
from recsys.context import Contexts
from recsys.eligibility import Eligibility
from recsys.fields import schema_of
from recsys.item_values import AssortmentValues
from recsys.memory import remembered
from recsys.predicates.errors import InvalidFilter
from recsys.predicates.memory import MaskMemory
from recsys.predicates.parser import parse
from recsys.predicates.predicate import Predicate, check
from recsys.predicates.values import Schema, Scope, Value
from recsys.timelines import Ragged

MOST_ASKED = 100
"""Filters whose masks are made anew as soon as the catalog changes."""

MOST_READ = 1_000
"""Filters whose meaning is kept; of more than that the oldest are read again."""

Needs = frozenset[tuple[Scope, str]]
"""Fields of customer and page that filters read."""

Values = dict[tuple[Scope, str], Value]
"""What these fields hold for one query."""


@dataclass(frozen=True, slots=True, eq=False)
class Conditions:
    """Reads filters, and finds what meets them. All it holds are memories, which change no answer.

    values: of the items on each shelf. masks: what depends on the catalog alone.
    read: filters by their text. schema: what they may speak of. words: of the items.
    asked: those whose mask somebody asked for in a market.
    """

    values: AssortmentValues
    schema: Schema
    words: CatalogWords
    masks: MaskMemory = field(default_factory=MaskMemory)
    read: dict[str, Predicate] = field(default_factory=dict)
    asked: dict[tuple[str, str], Predicate] = field(default_factory=dict)

    @classmethod
    def of(cls, assortment: Assortment, before: Self | None = None) -> Self:
        """Return the conditions of an assortment; what it shares with one before is kept."""
        schema = schema_of(assortment.catalog)
        kept = before.read if before is not None and before.schema is schema else {}
        words = CatalogWords.of(assortment.catalog, before.words if before else None)
        return cls(AssortmentValues(assortment), schema, words, read=kept)

    def predicate(self, text: str, *, at: str = "filter") -> Predicate:
        """Return the meaning of a filter. Raises InvalidFilter, which names the field `at`."""
        return remembered(
            self.read, text, MOST_READ, lambda: check(parse(text, field=at), self.schema)
        )

    def values_of(self, needs: Needs, contexts: Contexts, query: int) -> Values:
        """Return what some fields of customer and page hold for one query."""
        if not needs:
            return {}
        asked = contexts.queries[query]
        shown = self.values.of(asked.market, int(asked.now.timestamp()))
        return Asker(contexts, query, shown).values_of(needs)

    def mask(self, predicate: Predicate, contexts: Contexts, query: int) -> Mask:
        """Return the (n_items,) mask of what meets a filter, for one query."""
        asked = contexts.queries[query]
        now = int(asked.now.timestamp())
        values = self.values_of(predicate.needs, contexts, query)
        shown = self.values.of(asked.market, now)
        remembered(self.asked, (asked.market, predicate.text), MOST_ASKED, lambda: predicate)
        return predicate.mask(shown, values, now, memory=self.masks)

    def prepare(self, before: Self, now: int) -> None:
        """Make what one before was asked for, so that nobody waits for it."""
        self.values.prepare(before.values, now)
        self.words.prepare(before.words)
        for market, text in list(before.asked):
            with suppress(InvalidFilter):  # speaks of an attribute that no item has any more
                self.predicate(text).mask(self.values.of(market, now), {}, now, memory=self.masks)


@dataclass(frozen=True, slots=True)
class Meets:
    """Allows what meets one filter."""

    predicate: Predicate
    conditions: Conditions

    def narrow(self, contexts: Contexts, eligible: Eligibility) -> Eligibility:
        """Return the eligibility within what meets the filter, which may differ by query.

        All are asked at about one time: a filter that depends on it looks at that of the first.
        """
        groups = _alike(self.predicate.needs, contexts, self.conditions)
        masks = [self.conditions.mask(self.predicate, contexts, group[0]) for group in groups]
        if len(masks) == 1:
            return eligible.within(masks[0])
        together = np.logical_or.reduce(masks)
        refused = [np.empty(0, dtype=np.int32)] * len(contexts)
        for mask, group in zip(masks, groups, strict=True):
            own = np.flatnonzero(together & ~mask & eligible.shared).astype(np.int32)
            for query in group:
                refused[query] = own
        return eligible.within(together).without(Ragged.of(refused))


@dataclass(frozen=True, slots=True)
class Unmet:
    """Allows nothing: the filter of a placement that this catalog cannot answer.

    why: what is wrong with it. So a shop whose last item with an attribute went is served on.
    """

    why: str

    def narrow(self, contexts: Contexts, eligible: Eligibility) -> Eligibility:
        """Return the eligibility of nothing."""
        return eligible.within(np.zeros(len(eligible.shared), dtype=np.bool_))


def _alike(needs: Needs, contexts: Contexts, conditions: Conditions) -> list[list[int]]:
    """Return the queries, grouped by what the fields that are needed hold for them."""
    if not needs:
        return [list(range(len(contexts)))]
    groups: dict[tuple[Value, ...], list[int]] = {}
    for query in range(len(contexts)):
        values = conditions.values_of(needs, contexts, query)
        groups.setdefault(key_of(needs, values), []).append(query)
    return list(groups.values())


def key_of(needs: Iterable[tuple[Scope, str]], values: Values) -> tuple[Value, ...]:
    """Return the values in one order, to tell queries apart by."""
    return tuple(values[need] for need in sorted(needs))
