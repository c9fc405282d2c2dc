"""A preview of rules: the lists of real customers as they are, and as they would be."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from recsys.query import Query, Recommendation, RecommendedItem
from recsys.rules.rule import Rule
from serving.recommender import Recommender, StateReader
from serving.snapshot import Snapshot
from serving.state.keys import StateKeys

MOST_PREVIEWED = 200
"""Most customers of one preview."""


@dataclass(frozen=True, slots=True)
class PreviewedList:
    """One customer's list without some rules, and with them."""

    user_id: str
    before: Recommendation
    after: Recommendation

    @property
    def changed(self) -> bool:
        """Whether other items are shown, or in another order."""
        return self.before.item_ids != self.after.item_ids

    @property
    def degraded(self) -> str:
        """Why the lists are of less than is known; empty where they are not."""
        return self.before.degraded or self.after.degraded

    def changes(self) -> Iterator[str]:
        """Yield what changes, a sentence each: what comes, leaves, and stands elsewhere."""
        old, new = _positions(self.before), _positions(self.after)
        for item in self.after.items:
            if item.item_id not in old:
                yield f"+ {_name(item)} at {item.position}{_by(item)}"
        for item in self.before.items:
            if item.item_id not in new:
                yield f"- {_name(item)} from {item.position}"
        for item in self.after.items:
            was = old.get(item.item_id, item.position)
            if was != item.position:
                yield f"{_name(item)} {was} to {item.position}{_by(item)}"
        for unmet in self.after.fill.unmet if self.after.fill else ():
            yield f"{unmet.rule} is not kept: {unmet.why}"


@dataclass(frozen=True, slots=True)
class Held:
    """Holds one snapshot for the length of a job."""

    snapshot: Snapshot


def previewed(
    snapshot: Snapshot, rules: Sequence[Rule], store: StateReader, keys: StateKeys
) -> Preview:
    """Return a preview of rules beside, or in place of, those that a snapshot has."""
    ruled = snapshot.ruled(snapshot.placements.rules.with_others(rules))
    before, after = (
        Recommender(Held(one), store, keys, chance=secrets.token_bytes) for one in (snapshot, ruled)
    )
    return Preview(before, after)


@dataclass(frozen=True, slots=True)
class Preview:
    """Answers as they are, and as they would be."""

    before: Recommender
    after: Recommender

    async def lists(
        self, placement: str, user_ids: Sequence[str], *, now: datetime, limit: int = 0
    ) -> list[PreviewedList]:
        """Return the lists of customers, in their order. Raises NotFound (UNKNOWN_PLACEMENT)."""
        queries = [Query(placement, now, user_id=user, limit=limit) for user in user_ids]
        old = await self.before.recommend_batch(queries)
        new = await self.after.recommend_batch(queries)
        return [PreviewedList(*one) for one in zip(user_ids, old, new, strict=True)]


def told_of_degraded(found: Sequence[PreviewedList]) -> str:
    """Return a sentence about lists that are not those of customers; empty where none is."""
    reasons = sorted({one.degraded for one in found if one.degraded})
    if not reasons:
        return ""
    n_degraded = sum(bool(one.degraded) for one in found)
    return (
        f"degraded ({', '.join(reasons)}): {n_degraded:,} of {len(found):,} customers are shown "
        "the lists of less than is known of them"
    )


def _positions(answer: Recommendation) -> dict[str, int]:
    return {item.item_id: item.position for item in answer.items}


def _name(item: RecommendedItem) -> str:
    return item.title or item.item_id


def _by(item: RecommendedItem) -> str:
    return f" ({', '.join(item.rules)})" if item.rules else ""
