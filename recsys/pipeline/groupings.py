"""Groups: a list put together by what its items have in common, such as category or brand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import log2

from recsys.errors import InvalidInput
from recsys.ids import ItemId
from recsys.models.described import path_of
from recsys.predicates.values import Schema, Scope, ValueType
from recsys.query import Query, Recommendation, RecommendedItem, Tier

DEPTH = 200
"""Items of the placement's list that are put into groups."""
GROUPS = 10
MOST_GROUPS = 100
ITEMS_OF_A_GROUP = 3
MOST_ITEMS_OF_A_GROUP = 50
DEEPEST = 20
"""Most names of a category's path that a group may be told by."""

CATEGORY = "category"
_MOST_NAMED = 60


@dataclass(frozen=True, slots=True)
class Grouping:
    """What is to be put together.

    field: of items: `category`, `brand` or an attribute that is a text.
    level: names of a category's path that tell groups apart, from the root; 0 for all of them.
    n_groups, n_items: most groups, and most items of each.
    """

    field: str
    level: int = 0
    n_groups: int = GROUPS
    n_items: int = ITEMS_OF_A_GROUP

    def within(self, query: Query) -> Query:
        """Return the query for the list that the groups are made of."""
        names = tuple(dict.fromkeys((*query.item_fields, self.field)))
        return replace(query, limit=DEPTH, item_fields=names)

    def check(self, schema: Schema) -> None:
        """Raise InvalidInput where items have no such text."""
        known = [one.name for one in schema.fields if _groups(one.of, one.type, one.name)]
        if self.field not in known:
            more = " and others" if len(known) > _MOST_NAMED else ""
            wanted = f"one of {', '.join(known[:_MOST_NAMED])}{more}"
            raise InvalidInput("group_by", self.field, wanted)
        if self.level and self.field != CATEGORY:
            raise InvalidInput("level", self.level, f"0, unless `group_by` is `{CATEGORY}`")


@dataclass(frozen=True, slots=True)
class Group:
    """Items that have one value in common.

    score: higher is better, within one answer. items: its best, best first, at positions from 1.
    """

    value: str
    score: float
    items: tuple[RecommendedItem, ...]


@dataclass(frozen=True, slots=True)
class RecommendedGroups:
    """The groups that suit an asker best, best first; the rest is of the list behind them."""

    groups: tuple[Group, ...]
    placement: str
    tier: Tier
    bundle_version: str
    attribution_token: str
    degraded: str = ""
    personalised: bool = True
    missing_ids: tuple[ItemId, ...] = ()


def grouped(answer: Recommendation, grouping: Grouping, query: Query) -> RecommendedGroups:
    """Return the groups of a list whose items came with the field in question.

    A group's score is the discounted sum of its items' shares in the best score: an item of share
    s at position p adds s / log2(1 + p), as in Järvelin and Kekäläinen's cumulated gain (2002).
    An item counts in each group that it has a value of; one without any in none.
    query: whose `item_fields` each item keeps.
    """
    scores, members = _scored(answer.items, grouping)
    order = sorted(scores, key=lambda value: (-scores[value], value))[: grouping.n_groups]
    groups = (
        Group(value, scores[value], _placed(members[value][: grouping.n_items], query))
        for value in order
    )
    return RecommendedGroups(
        tuple(groups),
        answer.placement,
        answer.tier,
        answer.bundle_version,
        answer.attribution_token,
        answer.degraded,
        answer.personalised,
        answer.missing_ids,
    )


def _scored(
    items: Sequence[RecommendedItem], grouping: Grouping
) -> tuple[dict[str, float], dict[str, list[RecommendedItem]]]:
    """Return the score of each group, and its items, best first."""
    best = max((item.score for item in items), default=0.0)
    scores: dict[str, float] = {}
    members: dict[str, list[RecommendedItem]] = {}
    for item in items:
        share = max(item.score / best, 0.0) if best > 0 else 1.0
        for value in _values(item, grouping):
            scores[value] = scores.get(value, 0.0) + share / log2(1 + item.position)
            members.setdefault(value, []).append(item)
    return scores, members


def _groups(of: Scope, kind: ValueType, name: str) -> bool:
    """Return whether items can be put together by a field."""
    if of is not Scope.ITEM:
        return False
    return kind in (ValueType.CATEGORY, ValueType.TEXTS) or name == "brand"


def _values(item: RecommendedItem, grouping: Grouping) -> Iterator[str]:
    """Yield the groups that an item is in, each once."""
    for field in item.fields:
        if field.name != grouping.field or isinstance(field.value, float):
            continue
        texts = (field.value,) if isinstance(field.value, str) else field.value
        if grouping.field == CATEGORY and grouping.level:
            texts = tuple(" > ".join(path_of(text)[: grouping.level]) for text in texts)
        yield from filter(None, dict.fromkeys(texts))


def _placed(items: list[RecommendedItem], query: Query) -> tuple[RecommendedItem, ...]:
    """Return the items under their places in the group, with the fields that were asked for."""
    return tuple(
        replace(
            item,
            position=place,
            fields=tuple(one for one in item.fields if one.name in query.item_fields),
        )
        for place, item in enumerate(items, 1)
    )
