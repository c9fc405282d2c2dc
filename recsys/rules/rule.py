"""A rule: what a merchandiser wants of some lists, for whom and for how long."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from recsys.errors import InvalidInput
from recsys.fields import CONTEXT_FIELDS, CUSTOMER_FIELDS, ITEM_FIELDS, ITEM_TYPES
from recsys.ids import check_id
from recsys.predicates.parser import parse
from recsys.predicates.predicate import check
from recsys.predicates.values import Schema, ValueType
from recsys.query import MOST_ITEMS, Query

MOST_RULES = 500
"""Most rules of one shop."""
MOST_NAME = 64
MOST_PLACEMENTS = 100
MOST_FACTOR = 100.0
MOST_PRIORITY = 1_000_000
EVERYBODY = ""
"""The audience of a rule that is for everybody."""

_AUDIENCE_FIELDS = Schema((*ITEM_FIELDS, *CUSTOMER_FIELDS, *CONTEXT_FIELDS))
_NAME_WANTED = f"1 to {MOST_NAME} small letters, digits, `-` and `_`, the first no sign"
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")


class RuleKind(StrEnum):
    """What a rule does."""

    EXCLUDE = "exclude"
    """Items leave the lists."""
    BOOST = "boost"
    """Scores are multiplied by a factor above 1."""
    BURY = "bury"
    """Scores are multiplied by a factor below 1."""
    PIN = "pin"
    """One item holds one position."""
    QUOTA = "quota"
    """So many items of a list, at least or at most, are of a kind."""


@dataclass(frozen=True, slots=True)
class Amount:
    """How many items of a list: so many, or a share of it.

    value: whole pieces, or from 0 to 1.
    """

    value: float
    share: bool = False

    def at_least(self, n_items: int) -> int:
        """Return the fewest items of a list of so many that are no less than this."""
        return math.ceil(self.value * n_items - 1e-6) if self.share else int(self.value)

    def at_most(self, n_items: int) -> int:
        """Return the most items of a list of so many that are no more than this."""
        return math.floor(self.value * n_items + 1e-6) if self.share else int(self.value)

    def __str__(self) -> str:
        return f"{round(100 * self.value, 6):g} %" if self.share else f"{self.value:g}"


@dataclass(frozen=True, slots=True)
class Rule:
    """One wish of the shop about its lists.

    items: which items, as a filter (`recsys.predicates`); empty for a pin, which names its `item`,
        and for a quota `per` field, where it then means all of them.
    placements: whose lists, by the name that is asked for; all where empty.
    audience: for whom, as a filter over customer and context; everybody where empty.
    starts, ends: the instants, UTC, from which on and before which it holds; None for no bound.
    priority: who goes first where two rules cannot both be kept; among equals the lesser name.
    factor: of a boost, or of what is buried. position: of a pin, from 1.
    at_least, at_most: of a quota. per: the text field for each value of which `at_most` holds.
    """

    name: str
    kind: RuleKind
    items: str = ""
    placements: tuple[str, ...] = ()
    audience: str = EVERYBODY
    starts: datetime | None = None
    ends: datetime | None = None
    priority: int = 0
    enabled: bool = True
    factor: float | None = None
    item: str = ""
    position: int | None = None
    at_least: Amount | None = None
    at_most: Amount | None = None
    per: str = ""

    @property
    def order(self) -> tuple[int, str]:
        """What rules are sorted by: who comes first has its way."""
        return -self.priority, self.name

    def holds(self, now: datetime) -> bool:
        """Return whether it is in force at an instant, as far as time decides."""
        begun = self.starts is None or self.starts <= now
        return self.enabled and begun and (self.ends is None or now < self.ends)

    def concerns(self, query: Query) -> bool:
        """Return whether it is in force for a list; its audience is not looked at."""
        return self.holds(query.now) and (not self.placements or query.placement in self.placements)

    def check(self, at: str = "rule") -> None:
        """Raise InvalidInput naming the first field at fault; `at` begins its path."""
        check_rule_name(f"{at}.name", self.name)
        _check_fields(self, at)
        _check_place_and_time(self, at)
        _check_audience(self.audience, f"{at}.audience")
        if self.items:
            parse(self.items, field=f"{at}.items")
        match self.kind:
            case RuleKind.BOOST | RuleKind.BURY:
                _check_factor(self, f"{at}.factor")
            case RuleKind.PIN:
                _check_pin(self, at)
            case RuleKind.QUOTA:
                _check_quota(self, at)
            case RuleKind.EXCLUDE:
                pass


_TAKES = {
    RuleKind.EXCLUDE: {"items"},
    RuleKind.BOOST: {"items", "factor"},
    RuleKind.BURY: {"items", "factor"},
    RuleKind.PIN: {"item", "position"},
    RuleKind.QUOTA: {"items", "at_least", "at_most", "per"},
}
"""What each kind says of itself; only a quota may leave some of it out."""
_OWN_FIELDS = ("items", "factor", "item", "position", "at_least", "at_most", "per")


def check_rule_name(field: str, name: str) -> None:
    """Raise InvalidInput for what is no name of a rule."""
    letters = set(name) - _LETTERS <= {"-", "_"}
    if not (0 < len(name) <= MOST_NAME and letters and name[0] in _LETTERS):
        raise InvalidInput(field, name[:MOST_NAME], _NAME_WANTED)


def ordered(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Return the rules, those first that have their way."""
    return tuple(sorted(rules, key=lambda rule: rule.order))


def _check_fields(rule: Rule, at: str) -> None:
    """Raise InvalidInput for what is missing, or belongs to another kind of rule."""
    for name in _OWN_FIELDS:
        given = getattr(rule, name) not in ("", None)
        if given and name not in _TAKES[rule.kind]:
            takes = ", ".join(one for one in _OWN_FIELDS if one in _TAKES[rule.kind])
            wanted = f"nothing: of these a {rule.kind} takes {takes}"
            raise InvalidInput(f"{at}.{name}", getattr(rule, name), wanted)
        if not given and name in _TAKES[rule.kind] and rule.kind is not RuleKind.QUOTA:
            raise InvalidInput(f"{at}.{name}", getattr(rule, name), f"what a {rule.kind} is about")


def _check_place_and_time(rule: Rule, at: str) -> None:
    if len(rule.placements) > MOST_PLACEMENTS:
        raise InvalidInput(
            f"{at}.placements", len(rule.placements), f"at most {MOST_PLACEMENTS} placements"
        )
    for place, name in enumerate(rule.placements):
        check_id(f"{at}.placements[{place}]", name)
    for name in ("starts", "ends"):
        instant: datetime | None = getattr(rule, name)
        if instant is not None and instant.tzinfo is not UTC:
            raise InvalidInput(f"{at}.{name}", instant, "an instant in UTC")
    if rule.starts is not None and rule.ends is not None and rule.starts >= rule.ends:
        raise InvalidInput(f"{at}.ends", str(rule.ends), f"an instant behind {rule.starts}")
    if abs(rule.priority) > MOST_PRIORITY:
        raise InvalidInput(f"{at}.priority", rule.priority, f"at most {MOST_PRIORITY:,} either way")


def _check_audience(text: str, field: str) -> None:
    if text and check(parse(text, field=field), _AUDIENCE_FIELDS).step.by_item:
        wanted = "a filter over customer and context alone: which items is said by `items`"
        raise InvalidInput(field, text, wanted)


def _check_factor(rule: Rule, field: str) -> None:
    factor = rule.factor or 0.0
    if rule.kind is RuleKind.BOOST and not 1 < factor <= MOST_FACTOR:
        raise InvalidInput(field, rule.factor, f"above 1 and at most {MOST_FACTOR:g} for a boost")
    if rule.kind is RuleKind.BURY and not 1 / MOST_FACTOR <= factor < 1:
        wanted = f"at least {1 / MOST_FACTOR:g} and below 1 to bury; `exclude` takes items out"
        raise InvalidInput(field, rule.factor, wanted)


def _check_pin(rule: Rule, at: str) -> None:
    check_id(f"{at}.item", rule.item)
    if rule.position is None or not 1 <= rule.position <= MOST_ITEMS:
        raise InvalidInput(f"{at}.position", rule.position, f"a position from 1 to {MOST_ITEMS}")


def _check_quota(rule: Rule, at: str) -> None:
    if rule.at_least is None and rule.at_most is None:
        raise InvalidInput(f"{at}.at_least", None, "`at_least` or `at_most`, such as 2 or '30 %'")
    for name in ("at_least", "at_most"):
        amount: Amount | None = getattr(rule, name)
        if amount is not None:
            _check_amount(amount, f"{at}.{name}")
    if rule.per:
        _check_per(rule, at)
    elif not rule.items:
        raise InvalidInput(f"{at}.items", "", "which items are counted, or `per` a field")
    least, most = rule.at_least, rule.at_most
    if least and most and least.share == most.share and least.value > most.value:
        raise InvalidInput(f"{at}.at_most", str(most), f"no less than `at_least`, {least}")


def _check_amount(amount: Amount, field: str) -> None:
    if amount.share and not 0 <= amount.value <= 1:
        raise InvalidInput(field, str(amount), "a share from 0 % to 100 %")
    whole = float(amount.value).is_integer()
    if not amount.share and not (whole and 0 <= amount.value <= MOST_ITEMS):
        wanted = f"whole items from 0 to {MOST_ITEMS}, or a share such as '30 %'"
        raise InvalidInput(field, amount.value, wanted)


def _check_per(rule: Rule, at: str) -> None:
    """Raise InvalidInput unless the field holds one text; that an attribute exists shows later."""
    if rule.at_least is not None or rule.at_most is None:
        raise InvalidInput(f"{at}.per", rule.per, "`per` beside `at_most` alone")
    kind = ITEM_TYPES.get(rule.per)
    if kind not in (ValueType.TEXT, ValueType.CATEGORY):
        names = sorted(
            name for name, one in ITEM_TYPES.items() if one in (ValueType.TEXT, ValueType.CATEGORY)
        )
        raise InvalidInput(f"{at}.per", rule.per, f"one of {', '.join(names)}")
