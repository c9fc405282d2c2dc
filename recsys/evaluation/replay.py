"""Replay: the real placements, asked by held-out customers at the instants of their cases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np

from recsys.arrays import Rows, Seconds, Times, entries_of, offsets_of
from recsys.assortment import Assortment
from recsys.candidates import Candidates
from recsys.context import Contexts
from recsys.evaluation.situations import (
    Askers,
    bought_in,
    buying,
    due_in,
    filling_baskets,
    looking_around,
)
from recsys.evaluation.splits import Split
from recsys.ids import Vocabulary
from recsys.interactions import Interactions
from recsys.interest import Interest
from recsys.pipeline.placement import PlacementConfig, Situation
from recsys.query import Query
from recsys.timelines import Ragged

BATCH = 256
"""Queries computed together; bounds memory, changes no answer."""


@dataclass(frozen=True, slots=True)
class Cases:
    """Questions whose right answers the future holds.

    users: (q,) rows of the askers. instants: (q,) datetime64[s], ascending: when each asks.
    seeds: items at hand when asking. targets: what each asker wants afterwards, each row once.
    """

    placement: str
    situation: Situation
    users: Rows
    instants: Times
    seeds: Ragged
    targets: Ragged

    def __len__(self) -> int:
        return len(self.users)

    def queries(self, places: Sequence[int], vocabulary: Vocabulary, limit: int) -> list[Query]:
        """Return the queries at these places, each asked at its instant."""
        seconds = _seconds(self.instants)
        return [
            Query(
                placement=self.placement,
                now=datetime.fromtimestamp(int(seconds[place]), UTC),
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
    SESSION: a session of the window, cut behind an item that is looked at: that is the seed, what
    comes anew in the rest of the session the targets; asked at that moment, by whoever it is.
    DUE: every customer of the past who had bought something twice and buys known things again
    within a week; targets are these.
    """
    asking = _askers(situation, split, rng, most)
    return Cases(placement, situation, asking.users, asking.instants, asking.seeds, asking.targets)


def cases_for(
    name: str,
    config: PlacementConfig,
    split: Split,
    rng: np.random.Generator,
    *,
    most: int = 5_000,
) -> Cases | None:
    """Return the cases a placement is judged by; nothing without a situation, or without a case.

    A list about what its asker did last is asked for on a page that holds no item.
    """
    if config.situation is None:
        return None
    cases = cases_of(name, config.situation, split, rng, most=most)
    if config.relates_to.of_the_asker:
        cases = replace(cases, seeds=Ragged.empty(len(cases)))
    return cases if len(cases) else None


def contexts_of(
    cases: Cases, known: Interactions, *, assortment: Assortment, interest: Interest, limit: int
) -> Iterator[tuple[range, Contexts]]:
    """Yield the cases' contexts in batches, with the places they stand for.

    known: all that happened; of these each case has seen what its asker did before its instant.
    """
    known = _of(cases.users, known)  # once: there may be a batch for every dated item
    for places in _batches(cases.instants, assortment):
        chosen = slice(places.start, places.stop)
        seen = _seen(known, cases.users[chosen], cases.instants[chosen])
        askers = np.arange(len(places), dtype=np.int32)
        queries = cases.queries(places, assortment.vocabulary, limit)
        yield (
            places,
            Contexts.replay(queries, seen, askers, assortment=assortment, interest=interest),
        )


def joined(parts: Sequence[tuple[range, Candidates]]) -> Candidates:
    """Return the candidates of batches as those of one, under the places of the cases."""
    return Candidates(
        np.concatenate([found.queries + np.int32(places.start) for places, found in parts]),
        np.concatenate([found.rows for _, found in parts]),
        np.concatenate([found.scores for _, found in parts]),
        np.concatenate([found.signals for _, found in parts]),
    )


def _askers(situation: Situation, split: Split, rng: np.random.Generator, most: int) -> Askers:
    match situation:
        case Situation.VISIT:
            return buying(bought_in(split), split, rng, most)
        case Situation.DISCOVERY:
            bought = bought_in(split)
            return buying(bought[~split.had_bought(bought)], split, rng, most)
        case Situation.BASKET:
            return filling_baskets(split, rng, most)
        case Situation.SESSION:
            return looking_around(split, rng, most)
        case Situation.DUE:
            return buying(due_in(split), split, rng, most)


def _batches(instants: Times, assortment: Assortment) -> Iterator[range]:
    """Yield the places of cases, in order, that ask between the same two dated changes."""
    shelves = np.searchsorted(assortment.edges, _seconds(instants), side="right")
    changes = (np.flatnonzero(np.diff(shelves)) + 1).tolist()
    for start, stop in pairwise((0, *changes, len(instants))):
        for first in range(start, stop, BATCH):
            yield range(first, min(first + BATCH, stop))


def _seen(known: Interactions, users: Rows, instants: Times) -> Interactions:
    """Return what each of (n,) askers did before their instant, as done by users 0 to n - 1.

    Who asks several times is several users.
    """
    own = _of(users, known)
    by_user = np.argsort(own.users, kind="stable")
    bounds = offsets_of(np.bincount(own.users, minlength=known.n_users))
    askers = np.repeat(np.arange(len(users), dtype=np.int32), np.diff(bounds)[users])
    events = by_user[entries_of(bounds, users)]
    past = own.times[events] < instants[askers]
    events, askers = events[past], askers[past]
    in_time = np.argsort(events, kind="stable")
    return replace(own.take(events[in_time]), users=askers[in_time], n_users=len(users))


def _of(users: Rows, known: Interactions) -> Interactions:
    """Return what these users did."""
    asking = np.zeros(known.n_users, dtype=np.bool_)
    asking[users] = True
    return known.take(asking[known.users])


def _seconds(instants: Times) -> Seconds:
    seconds: Seconds = instants.astype("datetime64[s]").astype(np.int64)
    return seconds
