"""Replay: the real placements, asked over held-out customers at the instant of the split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from recsys.arrays import Keys, Mask, Rows, frozen, keys_of, owners_of, rows_of
from recsys.assortment import Assortment
from recsys.candidates import Candidates
from recsys.context import Contexts
from recsys.evaluation.splits import Split
from recsys.events import EventType
from recsys.ids import Vocabulary
from recsys.interactions import Interactions
from recsys.interest import Interest
from recsys.pipeline.placement import Situation
from recsys.query import Query
from recsys.timelines import Ragged

BATCH = 256
"""Queries computed together; bounds memory, changes no answer."""


@dataclass(frozen=True, slots=True)
class Cases:
    """Questions whose right answers the future holds.

    users: (q,) rows of the askers. seeds: items at hand when asking.
    targets: what each asker bought afterwards, each row once.
    """

    placement: str
    situation: Situation
    instant: np.datetime64
    users: Rows
    seeds: Ragged
    targets: Ragged

    def __len__(self) -> int:
        return len(self.users)

    def queries(self, places: Sequence[int], vocabulary: Vocabulary, limit: int) -> list[Query]:
        """Return the queries at these places, asked at the instant of the split."""
        now = datetime.fromtimestamp(
            int(self.instant.astype("datetime64[s]").astype(np.int64)), UTC
        )
        return [
            Query(
                placement=self.placement,
                now=now,
                user_id=f"user {self.users[place]}",
                seeds=tuple(vocabulary.id(row) for row in self.seeds.at(place).tolist()),
                limit=limit,
            )
            for place in places
        ]


def cases_of(
    placement: str,
    situation: Situation,
    split: Split,
    rng: np.random.Generator,
    *,
    most: int = 5_000,
) -> Cases:
    """Return the cases a split holds for a placement, at most `most`, drawn with `rng`.

    VISIT: every customer of the past who buys in the window; targets are those purchases.
    DISCOVERY: the same, targets being items the customer never bought before.
    BASKET: the first basket of two items or more of each customer in the window; a random half
    is the seeds, the rest the targets.
    """
    pairs = _bought_in(situation, split)
    asking = _present(owners_of(pairs), split) & _present(split.past.users, split)
    drawn = rng.choice(np.flatnonzero(asking), min(most, int(asking.sum())), replace=False)
    users: Rows = np.sort(drawn).astype(np.int32)
    kept = pairs[np.isin(owners_of(pairs), users)]
    seeds, targets = _halves(kept, rng) if situation is Situation.BASKET else (kept[:0], kept)
    return Cases(
        placement,
        situation,
        split.instant,
        frozen(users),
        _lists(seeds, users),
        _lists(targets, users),
    )


def contexts_of(
    cases: Cases, past: Interactions, *, assortment: Assortment, interest: Interest, limit: int
) -> Iterator[tuple[range, Contexts]]:
    """Yield the cases' contexts in batches, with the places they stand for."""
    for start in range(0, len(cases), BATCH):
        places = range(start, min(start + BATCH, len(cases)))
        users = cases.users[places.start : places.stop]
        queries = cases.queries(places, assortment.vocabulary, limit)
        yield (
            places,
            Contexts.replay(queries, past, users, assortment=assortment, interest=interest),
        )


def joined(parts: Sequence[tuple[range, Candidates]]) -> Candidates:
    """Return the candidates of batches as those of one, under the places of the cases."""
    return Candidates(
        np.concatenate([found.queries + np.int32(places.start) for places, found in parts]),
        np.concatenate([found.rows for _, found in parts]),
        np.concatenate([found.scores for _, found in parts]),
        np.concatenate([found.signals for _, found in parts]),
    )


def _bought_in(situation: Situation, split: Split) -> Keys:
    """Return the (user, item) pairs of the window's purchases that a situation is about."""
    bought = split.future.of_kind(EventType.PURCHASE)
    if situation is Situation.BASKET:
        return _first_baskets(bought)
    pairs = _distinct(bought.users, bought.items)
    return pairs[~split.had_bought(pairs)] if situation is Situation.DISCOVERY else pairs


def _present(users: Rows, split: Split) -> Mask:
    """Return, for every user there is, whether they are among these."""
    return np.bincount(users, minlength=split.past.n_users) > 0


def _distinct(users: Rows, items: Rows) -> Keys:
    return np.unique(keys_of(users, items))


def _first_baskets(bought: Interactions) -> Keys:
    """Return the (user, item) pairs of each user's first basket that holds two items or more."""
    lines = np.unique(keys_of(bought.baskets, bought.items))
    numbers, sizes = np.unique(owners_of(lines), return_counts=True)
    large = numbers[sizes >= 2]
    chosen = np.flatnonzero(np.isin(bought.baskets, large))
    _, first = np.unique(bought.users[chosen], return_index=True)
    firsts = bought.take(np.isin(bought.baskets, bought.baskets[chosen[first]]))
    return _distinct(firsts.users, firsts.items)


def _halves(pairs: Keys, rng: np.random.Generator) -> tuple[Keys, Keys]:
    """Return a random half of each user's pairs (rounded down, at least one), and the rest."""
    shuffled = pairs[np.lexsort((rng.random(len(pairs)), owners_of(pairs)))]
    users = owners_of(shuffled)
    first = np.searchsorted(users, users)
    sizes = np.searchsorted(users, users, side="right") - first
    seed = np.arange(len(users)) - first < np.maximum(sizes // 2, 1)
    return shuffled[seed], shuffled[~seed]


def _lists(pairs: Keys, users: Rows) -> Ragged:
    queries = np.searchsorted(users, owners_of(pairs)).astype(np.int32)
    return Ragged.of_pairs(queries, rows_of(pairs), len(users))
