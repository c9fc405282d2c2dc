"""Conflicts: rules that cannot all be kept, or that do nothing, told before a customer sees it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import combinations

import numpy as np

from recsys.arrays import Mask
from recsys.conditions import Conditions
from recsys.ids import UNKNOWN_ROW
from recsys.predicates.errors import InvalidFilter
from recsys.rules.rule import Rule, RuleKind, ordered


class ConflictKind(StrEnum):
    """What is wrong with some rules."""

    SAME_POSITION = "same_position"
    """Two pins are for one position of one placement at one time."""
    PIN_EXCLUDED = "pin_excluded"
    """A rule excludes the item that another pins."""
    QUOTAS_TOO_HIGH = "quotas_too_high"
    """Minimums that no list can hold together, or a minimum above a maximum."""
    MATCHES_NOTHING = "matches_nothing"
    """No item of the catalog is what the rule speaks of."""
    NOT_ANSWERED = "not_answered"
    """The filter speaks of what no item of the catalog has."""
    EXPIRED = "expired"
    """The time of the rule is over."""
    UNKNOWN_PLACEMENT = "unknown_placement"
    """The rule names a placement that is not configured."""
    UNREADABLE = "unreadable"
    """The rule as it is kept is none, so it is not in force."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Something about some rules that a merchandiser should know.

    rules: their names, those first that have their way. why: a sentence.
    """

    kind: ConflictKind
    rules: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Shop:
    """What rules are held against.

    sizes: of each placement's lists, by its name. conditions: over the catalog; None where none is
        there yet, and then nothing that depends on items is told.
    """

    now: datetime
    sizes: Mapping[str, int]
    conditions: Conditions | None = None


def conflicts(rules: Iterable[Rule], shop: Shop) -> tuple[Conflict, ...]:
    """Return what is wrong with these rules; of those that are not enabled nothing is told.

    Rules for different audiences are held to meet nobody together: where they do, answers say what
    they could not keep. Filters that read customer or context are not looked at.
    """
    checking = _Checking(tuple(rule for rule in ordered(rules) if rule.enabled), shop)
    return tuple(checking.found())


@dataclass(frozen=True)
class _Checking:
    rules: Sequence[Rule]
    shop: Shop
    _masks: dict[str, Mask | None] = field(default_factory=dict)

    def found(self) -> Iterator[Conflict]:
        for rule in self.rules:
            yield from self._alone(rule)
        living = [rule for rule in self.rules if not self._over(rule)]
        for one, other in combinations(living, 2):
            if _meet(one, other, self.shop.sizes):
                yield from self._together(one, other)
        yield from self._minimums(living)

    def _over(self, rule: Rule) -> bool:
        return rule.ends is not None and rule.ends <= self.shop.now

    def _alone(self, rule: Rule) -> Iterator[Conflict]:
        if self._over(rule):
            why = f"it ended on {rule.ends:%Y-%m-%d %H:%M} UTC and does nothing"
            yield Conflict(ConflictKind.EXPIRED, (rule.name,), why)
        for name in rule.placements:
            if name not in self.shop.sizes:
                known = ", ".join(sorted(self.shop.sizes))
                why = f"there is no placement {name}; those that exist: {known}"
                yield Conflict(ConflictKind.UNKNOWN_PLACEMENT, (rule.name,), why)
        if self.shop.conditions is not None:
            yield from self._of_items(rule)

    def _of_items(self, rule: Rule) -> Iterator[Conflict]:
        try:
            mask = self._mask(rule)
        except InvalidFilter as error:
            yield Conflict(ConflictKind.NOT_ANSWERED, (rule.name,), str(error))
            return
        if mask is not None and not mask.any():
            what = f"an item {rule.item}" if rule.kind is RuleKind.PIN else f"what is {rule.items}"
            why = f"the catalog does not have {what}"
            yield Conflict(ConflictKind.MATCHES_NOTHING, (rule.name,), why)

    def _together(self, one: Rule, other: Rule) -> Iterator[Conflict]:
        """Yield what is wrong with two rules that some list has to keep both."""
        names = one.name, other.name
        kinds = {one.kind: one, other.kind: other}
        if one.kind is other.kind is RuleKind.PIN and one.position == other.position:
            why = f"both pin an item to position {one.position}; {one.name} has its way"
            yield Conflict(ConflictKind.SAME_POSITION, names, why)
        if set(kinds) == {RuleKind.PIN, RuleKind.EXCLUDE}:
            pin, exclude = kinds[RuleKind.PIN], kinds[RuleKind.EXCLUDE]
            items, refused = self._known(pin), self._known(exclude)
            if items is not None and refused is not None and (items & refused).any():
                why = f"{exclude.name} excludes {pin.item}, which {pin.name} pins"
                yield Conflict(ConflictKind.PIN_EXCLUDED, names, why)
        if one.kind is other.kind is RuleKind.QUOTA:
            for low, high in ((one, other), (other, one)):
                yield from self._crossed(low, high, names)

    def _crossed(self, low: Rule, high: Rule, names: tuple[str, str]) -> Iterator[Conflict]:
        """Yield that a minimum is above the maximum of items that include its own."""
        wanted, allowed = self._known(low), self._known(high)
        if wanted is None or allowed is None or low.at_least is None or high.at_most is None:
            return
        if high.per or (wanted & ~allowed).any() or not wanted.any():
            return
        for size in self._sizes(low, high):
            if low.at_least.at_least(size) > high.at_most.at_most(size):
                why = (
                    f"{low.name} wants at least {low.at_least}, {high.name} at most {high.at_most}"
                )
                yield Conflict(ConflictKind.QUOTAS_TOO_HIGH, names, f"{why} of the same items")
                return

    def _minimums(self, living: Sequence[Rule]) -> Iterator[Conflict]:
        """Yield minimums, of different items, that are together longer than a list."""
        told: set[tuple[str, ...]] = set()
        lows = [rule for rule in living if rule.kind is RuleKind.QUOTA and rule.at_least]
        for placement, size in sorted(self.shop.sizes.items()):
            for first in lows:
                group = tuple(self._apart_with(first, lows, placement))
                wanted = sum(rule.at_least.at_least(size) for rule in group if rule.at_least)
                names = tuple(rule.name for rule in group)
                if wanted > size and names not in told:
                    told.add(names)
                    why = f"they want {wanted} items of a list of {size} ({placement})"
                    yield Conflict(ConflictKind.QUOTAS_TOO_HIGH, names, why)

    def _apart_with(self, first: Rule, lows: Sequence[Rule], placement: str) -> Iterator[Rule]:
        """Yield rules in force at one time in a placement, none of whose items another counts."""
        group: list[Rule] = []
        for rule in lows:
            everywhere = not rule.placements or placement in rule.placements
            at_once = rule is first or _meet(rule, first, self.shop.sizes)
            starting = first.starts is None or rule.starts is None or rule.starts <= first.starts
            if everywhere and at_once and starting and self._apart(rule, group):
                group.append(rule)
                yield rule

    def _apart(self, rule: Rule, others: Iterable[Rule]) -> bool:
        own = self._known(rule)
        masks = [self._known(other) for other in others]
        return own is not None and all(
            mask is not None and not (own & mask).any() for mask in masks
        )

    def _sizes(self, one: Rule, other: Rule) -> list[int]:
        """Return the sizes of the lists that both are for."""
        return [
            size
            for name, size in self.shop.sizes.items()
            if all(not rule.placements or name in rule.placements for rule in (one, other))
        ]

    def _known(self, rule: Rule) -> Mask | None:
        """Return the (n_items,) items a rule speaks of, None where that cannot be told."""
        if self.shop.conditions is None:
            return None
        try:
            return self._mask(rule)
        except InvalidFilter:
            return None

    def _mask(self, rule: Rule) -> Mask | None:
        """Return as `_known`. Raises InvalidFilter, where a catalog is there."""
        if rule.name not in self._masks:
            self._masks[rule.name] = self._made(rule, self._catalog)
        return self._masks[rule.name]

    @property
    def _catalog(self) -> Conditions:
        if self.shop.conditions is None:
            raise ValueError("there is no catalog to look at")
        return self.shop.conditions

    def _made(self, rule: Rule, conditions: Conditions) -> Mask | None:
        assortment, now = conditions.values.assortment, int(self.shop.now.timestamp())
        primaries = assortment.primaries[assortment.catalog.items.listed]
        described = np.zeros(len(assortment.products), dtype=np.bool_)
        described[primaries[primaries >= 0]] = True
        if rule.kind is RuleKind.PIN:
            (row,) = assortment.vocabulary.rows([rule.item]).tolist()
            mask = np.zeros(len(described), dtype=np.bool_)
            if row != UNKNOWN_ROW and assortment.primaries[row] >= 0:
                mask[assortment.primaries[row]] = True
            return mask & described
        if not rule.items:
            return described
        predicate = conditions.predicate(rule.items, at=f"rules.{rule.name}.items")
        if predicate.needs:
            return None
        shown = conditions.values.of("", now)
        found: Mask = predicate.mask(shown, {}, now, memory=conditions.masks) & described
        return found


def _meet(one: Rule, other: Rule, sizes: Mapping[str, int]) -> bool:
    """Return whether some list, at some time, has to keep both rules."""
    places = set(one.placements or sizes) & set(other.placements or sizes)
    audiences = {one.audience, other.audience} - {""}
    apart = any(
        first.ends is not None and second.starts is not None and first.ends <= second.starts
        for first, second in ((one, other), (other, one))
    )
    return bool(places) and len(audiences) < 2 and not apart
