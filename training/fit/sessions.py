"""Sessions as neighbours: the newest that there were, without a word of whose they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import Rows, frozen, keys_of, offsets_of, owners_of, places_within, rows_of
from recsys.interactions import Interactions
from recsys.models.sessions import STEPS, SessionModel
from training.fit.viewed import Visits


@dataclass(frozen=True, slots=True)
class SessionsConfig:
    """What is kept of sessions.

    decay: what a step counts beside the one behind it. rarity: how much less items count that
    stand in many sessions, from 0 (not) to 1. most: sessions in all. most_an_item: sessions of
    each item. most_items: of each session. Always the newest.
    """

    decay: float
    rarity: float
    most: int
    most_an_item: int
    most_items: int


def fit_sessions(interactions: Interactions, config: SessionsConfig) -> SessionModel:
    """Return the newest sessions of two items or more, the newest first."""
    numbers, rows = _newest(Visits.of(interactions, STEPS), config)
    n_items = interactions.n_items
    if not len(rows):
        return SessionModel.empty(n_items)
    counts = np.bincount(rows, minlength=n_items)
    n_sessions = int(numbers[-1]) + 1
    rarities = np.log1p(n_sessions / np.maximum(counts, 1)) ** config.rarity
    pairs = np.unique(keys_of(rows, numbers))
    pairs = pairs[places_within(owners_of(pairs)) < config.most_an_item]
    return SessionModel(
        frozen(offsets_of(np.bincount(numbers, minlength=n_sessions))),
        frozen(rows),
        frozen(offsets_of(np.bincount(owners_of(pairs), minlength=n_items))),
        frozen(rows_of(pairs)),
        frozen(rarities.astype(np.float32)),
        config.decay,
    )


def _newest(visits: Visits, config: SessionsConfig) -> tuple[Rows, Rows]:
    """Return the number of a session and an item, each pair once, by number; 0 is the newest.

    Of each session the newest items, by row: in which order they came is not kept.
    """
    ends = np.zeros(int(visits.sessions[-1]) + 1 if len(visits) else 0, dtype=np.int64)
    np.maximum.at(ends, visits.sessions, visits.seconds)
    places = _places(ends)[visits.sessions]
    newest_first = np.argsort(places[::-1], kind="stable")
    newest_first = len(visits) - 1 - newest_first
    keys = keys_of(places[newest_first], visits.rows[newest_first])
    _, first = np.unique(keys, return_index=True)
    once = keys[np.sort(first)]
    once = once[places_within(owners_of(once)) < config.most_items]
    _, which, sizes = np.unique(owners_of(once), return_inverse=True, return_counts=True)
    once = np.sort(once[sizes[which] > 1])
    _, numbers = np.unique(owners_of(once), return_inverse=True)
    kept = numbers < config.most
    return numbers[kept].astype(np.int32), rows_of(once[kept])


def _places(ends: NDArray[np.int64]) -> Rows:
    """Return the place of each session, the latest first."""
    places = np.empty(len(ends), dtype=np.int32)
    places[np.argsort(-ends, kind="stable")] = np.arange(len(ends), dtype=np.int32)
    return places
