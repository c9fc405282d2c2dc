"""Situations: who asks for a list, when, with what at hand, and what proves to be right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import (
    Keys,
    Mask,
    Rows,
    Times,
    frozen,
    keys_of,
    offsets_of,
    owners_of,
    places_within,
    rows_of,
)
from recsys.evaluation.splits import Split
from recsys.events import EVENT_CODES, EventType
from recsys.interactions import Interactions
from recsys.models.sessions import LOOKS, STEPS
from recsys.timelines import Ragged

DUE_WITHIN = np.timedelta64(7, "D")
"""How soon a thing that was due has to be bought again."""
MOST_SESSIONS = 3
"""Sessions of one customer that are asked about, so that nobody speaks for all."""

_SECOND = np.timedelta64(1, "s")


@dataclass(frozen=True, slots=True)
class Askers:
    """Who asks, when and with what at hand, and what they want.

    users: (q,) rows. instants: (q,) datetime64[s], ascending: when each asks.
    seeds: items at hand. targets: the right answers, each row once.
    """

    users: Rows
    instants: Times
    seeds: Ragged
    targets: Ragged

    @classmethod
    def at(cls, instant: np.datetime64, users: Rows, seeds: Keys, targets: Keys) -> Self:
        """Return these users, who ascend, as all ask at one instant.

        seeds, targets: (user, item) pairs; those of other users are left out.
        """
        instants: Times = np.full(len(users), instant, dtype="datetime64[s]")
        return cls(frozen(users), frozen(instants), _lists(seeds, users), _lists(targets, users))


def buying(pairs: Keys, split: Split, rng: np.random.Generator, most: int) -> Askers:
    """Return customers of the past who ask at the split and want these (user, item) pairs."""
    users = _drawn(pairs, split, rng, most)
    return Askers.at(split.instant, users, pairs[:0], pairs)


def filling_baskets(split: Split, rng: np.random.Generator, most: int) -> Askers:
    """Return customers who hold a random half of their window's first basket and want the rest.

    A basket has two items or more.
    """
    pairs = _first_baskets(split.future.of_kind(EventType.PURCHASE))
    users = _drawn(pairs, split, rng, most)
    seeds, targets = _halves(pairs[np.isin(owners_of(pairs), users)], rng)
    return Askers.at(split.instant, users, seeds, targets)


def looking_around(split: Split, rng: np.random.Generator, most: int) -> Askers:
    """Return customers, known or not, who look at an item in a session that goes on.

    They ask in the second after the look; what they look at, put into the cart or buy in the rest
    of the session, and did not meet in it before, is what they want. The look is drawn among those
    of the session that are followed, at a later second, by something new; so are the sessions, at
    most `MOST_SESSIONS` a customer.
    """
    steps = _Steps.of(split.future.of_kind(*STEPS))
    looks = rng.permutation(steps.looks())
    _, first = np.unique(steps.sessions[looks], return_index=True)
    looks = rng.permutation(looks[first])
    looks = looks[np.argsort(steps.users[looks], kind="stable")]
    looks = looks[places_within(steps.users[looks]) < MOST_SESSIONS]
    looks = rng.choice(looks, min(most, len(looks)), replace=False)
    looks = looks[np.lexsort((looks, steps.times[looks]))]
    return Askers(
        frozen(steps.users[looks]),
        frozen(steps.times[looks] + _SECOND),
        Ragged(np.arange(len(looks) + 1, dtype=np.int64), steps.items[looks]),
        steps.ahead(looks),
    )


def bought_in(split: Split) -> Keys:
    """Return the (user, item) pairs bought in the window."""
    return _bought(split.future)


def due_in(split: Split) -> Keys:
    """Return the pairs bought again in the window's first days, `DUE_WITHIN`.

    By customers who had bought some item in two baskets or more: of who never came back for
    anything nothing can be due.
    """
    soon = _bought(split.future.before(split.instant + DUE_WITHIN))
    again = soon[split.had_bought(soon)]
    return again[np.isin(owners_of(again), _repeaters(split.past))]


@dataclass(frozen=True, slots=True)
class _Steps:
    """Steps of sessions, session by session, in the order in which they were made.

    sessions, users, items: (n,) int32. times: (n,). look: whether an item was looked at.
    new: whether the item was not met in the session before. ends: where each step's session ends.
    """

    sessions: Rows
    users: Rows
    items: Rows
    times: Times
    look: Mask
    new: Mask
    ends: NDArray[np.int64]

    @classmethod
    def of(cls, steps: Interactions) -> Self:
        sessions = steps.sessions()
        order = np.argsort(sessions, kind="stable")
        sessions, items = sessions[order], steps.items[order]
        new = np.zeros(len(order), dtype=np.bool_)
        new[np.unique(keys_of(sessions, items), return_index=True)[1]] = True
        return cls(
            sessions,
            steps.users[order],
            items,
            steps.times[order],
            np.isin(steps.kinds[order], [EVENT_CODES[kind] for kind in LOOKS]),
            new,
            np.searchsorted(sessions, sessions, side="right"),
        )

    def looks(self) -> NDArray[np.int64]:
        """Return the places of looks behind which, at a later second, something new comes."""
        later = np.zeros(len(self.items), dtype=np.bool_)
        later[:-1] = self.times[1:] > self.times[:-1]
        met = np.append(0, np.cumsum(self.new))
        ahead = met[self.ends] - met[np.arange(len(self.new)) + 1]
        return np.flatnonzero(self.look & later & (ahead > 0))

    def ahead(self, places: NDArray[np.int64]) -> Ragged:
        """Return what is new behind each of these (q,) places in its session."""
        lengths = self.ends[places] - places - 1
        bounds = offsets_of(lengths)
        askers = np.repeat(np.arange(len(places), dtype=np.int32), lengths)
        behind = np.arange(bounds[-1]) + (places + 1 - bounds[:-1])[askers]
        wanted = self.new[behind]
        return Ragged.of_pairs(askers[wanted], self.items[behind[wanted]], len(places))


def _drawn(pairs: Keys, split: Split, rng: np.random.Generator, most: int) -> Rows:
    """Return the users of the pairs whom the past knows, ascending; at most `most`, drawn."""
    asking = _present(owners_of(pairs), split) & _present(split.past.users, split)
    drawn = rng.choice(np.flatnonzero(asking), min(most, int(asking.sum())), replace=False)
    users: Rows = np.sort(drawn).astype(np.int32)
    return users


def _present(users: Rows, split: Split) -> Mask:
    """Return, for every user there is, whether they are among these."""
    return np.bincount(users, minlength=split.past.n_users) > 0


def _bought(interactions: Interactions) -> Keys:
    bought = interactions.of_kind(EventType.PURCHASE)
    return np.unique(keys_of(bought.users, bought.items))


def _repeaters(past: Interactions) -> Rows:
    """Return the users who kept purchases of one item from two baskets or more."""
    bought = past.settled().of_kind(EventType.PURCHASE)
    _, lines = np.unique(keys_of(bought.baskets, bought.items), return_index=True)
    pairs = keys_of(bought.users[lines], bought.items[lines])
    pairs, baskets = np.unique(pairs, return_counts=True)
    return np.unique(owners_of(pairs[baskets >= 2]))


def _first_baskets(bought: Interactions) -> Keys:
    """Return the (user, item) pairs of each user's first basket that holds two items or more."""
    lines = np.unique(keys_of(bought.baskets, bought.items))
    numbers, sizes = np.unique(owners_of(lines), return_counts=True)
    large = numbers[sizes >= 2]
    chosen = np.flatnonzero(np.isin(bought.baskets, large))
    _, first = np.unique(bought.users[chosen], return_index=True)
    firsts = bought.take(np.isin(bought.baskets, bought.baskets[chosen[first]]))
    return np.unique(keys_of(firsts.users, firsts.items))


def _halves(pairs: Keys, rng: np.random.Generator) -> tuple[Keys, Keys]:
    """Return a random half of each user's pairs (rounded down, at least one), and the rest."""
    shuffled = pairs[np.lexsort((rng.random(len(pairs)), owners_of(pairs)))]
    users = owners_of(shuffled)
    first = np.searchsorted(users, users)
    sizes = np.searchsorted(users, users, side="right") - first
    seed = np.arange(len(users)) - first < np.maximum(sizes // 2, 1)
    return shuffled[seed], shuffled[~seed]


def _lists(pairs: Keys, users: Rows) -> Ragged:
    """Return the items of each of these users, who ascend, among (user, item) pairs."""
    own = pairs[np.isin(owners_of(pairs), users)]
    queries = np.searchsorted(users, owners_of(own)).astype(np.int32)
    return Ragged.of_pairs(queries, rows_of(own), len(users))
