"""The rule book: all rules of a shop, and what those in force add to a list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from recsys.arrays import Mask, Rows, frozen
from recsys.conditions import Conditions, Needs
from recsys.context import Contexts
from recsys.events import Position
from recsys.fill_report import Unmet
from recsys.ids import UNKNOWN_ROW, ItemId
from recsys.pipeline.pipeline import Additions, NamedFilter
from recsys.predicates.errors import InvalidFilter
from recsys.predicates.values import Coded
from recsys.query import Query
from recsys.rules.arranging import Arrangement, Refused, Scaled
from recsys.rules.rule import Rule, RuleKind, ordered
from recsys.rules.wishes import Pinned, Quota, Wish
from recsys.timelines import Ragged

NO_POSITION = Position(0)


@dataclass(frozen=True, slots=True)
class RuleBook:
    """The rules of a shop, those first that have their way.

    position: of the newest change of any; 0 where there never was a rule.
    set_aside: rules that are kept and cannot be read, so that they are not in force, and why.
    """

    rules: tuple[Rule, ...] = ()
    position: Position = NO_POSITION
    set_aside: tuple[Unmet, ...] = ()

    @classmethod
    def of(
        cls,
        rules: Iterable[Rule],
        position: Position = NO_POSITION,
        set_aside: Iterable[Unmet] = (),
    ) -> Self:
        """Return the book of these rules."""
        return cls(ordered(rules), position, tuple(set_aside))

    def with_others(self, rules: Iterable[Rule]) -> Self:
        """Return the book with other rules beside its own, or in their place."""
        by_name = {rule.name: rule for rule in (*self.rules, *rules)}
        return replace(self, rules=ordered(by_name.values()))

    def in_force(
        self, query: Query, contexts: Contexts, place: int, conditions: Conditions
    ) -> tuple[Rule, ...]:
        """Return the rules for a list that the asker at a place of the batch asks for."""
        return tuple(
            rule
            for rule in self.rules
            if rule.concerns(query) and _is_for(rule.audience, contexts, place, conditions)
        )


NO_RULES = RuleBook()


def needs_of(rules: Iterable[Rule], conditions: Conditions) -> Needs:
    """Return the fields of customer and page that decide which items the rules speak of."""
    return frozenset().union(*(_needs(rule.items, conditions) for rule in rules))


@dataclass(frozen=True, slots=True)
class Ground:
    """The lists that rules are to be kept in, all under the same rules.

    size: of a list that does not say. ahead: rows of each list that stand before it, in lists
        that it fills up. more: whether others will fill these up.
    """

    contexts: Contexts
    size: int
    ahead: Ragged | None = None
    more: bool = False


def with_rules(
    more: Additions, rules: Sequence[Rule], ground: Ground, conditions: Conditions
) -> Additions:
    """Return what lists have beside their placement, these rules included."""
    return _Compiled(rules, ground, conditions).added_to(more) if rules else more


class _Compiled:
    """Rules over the items of one catalog, as they are for some lists."""

    def __init__(self, rules: Sequence[Rule], ground: Ground, conditions: Conditions) -> None:
        self._rules = rules
        self._ground = ground
        self._conditions = conditions
        self._asked = ground.contexts.queries[0]
        self._unanswered: list[Unmet] = []
        masks = ((rule, self._mask(rule)) for rule in rules)
        self._masks = {rule.name: mask for rule, mask in masks if mask is not None}

    def added_to(self, more: Additions) -> Additions:
        """Return what these lists have beside their placement."""
        filters = [
            NamedFilter(f"rule {rule.name}", Refused(mask))
            for rule, mask in self._of(RuleKind.EXCLUDE)
        ]
        scaled = [*self._of(RuleKind.BOOST), *self._of(RuleKind.BURY)]
        adjusters = [Scaled(mask, rule.factor or 1.0) for rule, mask in scaled]
        arrangement = Arrangement(
            tuple(self._wishes()),
            tuple(rule.name for rule in self._rules),
            self._ground.size,
            {rule.name: mask for rule, mask in scaled},
            tuple(self._unanswered),
            tuple(mask for _, mask in self._of(RuleKind.BOOST)),
            self._ground.ahead,
            self._ground.more,
        )
        return replace(
            more,
            filters=(*more.filters, *filters),
            adjusters=(*more.adjusters, *adjusters),
            arranger=arrangement if arrangement.says_anything else None,
        )

    def _of(self, kind: RuleKind) -> Iterator[tuple[Rule, Mask]]:
        """Yield the rules of a kind with the items they speak of."""
        return (
            (rule, self._masks[rule.name])
            for rule in self._rules
            if rule.kind is kind and rule.name in self._masks
        )

    def _wishes(self) -> Iterator[Wish]:
        for rule in self._rules:
            if rule.kind is RuleKind.PIN and rule.position is not None:
                yield Pinned(rule.name, ItemId(rule.item), self._row(rule.item), rule.position)
            elif rule.kind is RuleKind.QUOTA and rule.name in self._masks:
                groups = self._groups(rule, self._masks[rule.name])
                yield Quota(rule.name, groups, rule.at_least, rule.at_most)

    def _mask(self, rule: Rule) -> Mask | None:
        """Return the (n_items,) items a rule speaks of; None where the catalog cannot tell."""
        if not rule.items:
            return np.ones(len(self._ground.contexts.shelf.products), dtype=np.bool_)
        try:
            predicate = self._conditions.predicate(rule.items)
        except InvalidFilter as error:
            self._unanswered.append(Unmet(rule.name, f"the catalog cannot answer it: {error}"))
            return None
        return self._conditions.mask(predicate, self._ground.contexts, 0)

    def _row(self, item: str) -> int:
        """Return the product that an id stands for, -1 where it stands for none."""
        assortment = self._conditions.values.assortment
        row = int(assortment.vocabulary.rows([item])[0])
        return int(assortment.primaries[row]) if row != UNKNOWN_ROW else row

    def _groups(self, rule: Rule, mask: Mask) -> Rows:
        """Return the (n_items,) numbers of what counts together, 0 for what does not count."""
        if not rule.per:
            return mask.astype(np.int32)
        shown = self._conditions.values.of(self._asked.market, int(self._asked.now.timestamp()))
        codes = self._conditions.masks.once(
            shown, "codes of a rule", rule.per, lambda: _each_text_once(shown.texts(rule.per))
        )
        return np.where(mask, codes, 0)


def _is_for(audience: str, contexts: Contexts, place: int, conditions: Conditions) -> bool:
    """Return whether an asker is of an audience."""
    if not audience:
        return True
    predicate = conditions.predicate(audience)
    values = conditions.values_of(predicate.needs, contexts, place)
    query = contexts.queries[place]
    now = int(query.now.timestamp())
    shown = conditions.values.of(query.market, now)
    nobodys = np.zeros(min(shown.n_items, 1), dtype=np.int32)  # it reads nothing of any item
    return bool(predicate.of_rows(shown, nobodys, values, now).all())


def _needs(text: str, conditions: Conditions) -> Needs:
    try:
        return conditions.predicate(text).needs if text else frozenset()
    except InvalidFilter:  # a filter that is not answered needs nothing
        return frozenset()


def _each_text_once(texts: Coded) -> Rows:
    """Return the (n_items,) codes, the same for the same text; 0 where there is none."""
    first: dict[str, int] = {}
    codes = [first.setdefault(name, place) for place, name in enumerate(texts.names)]
    return frozen(np.array(codes, dtype=np.int32)[texts.codes])
