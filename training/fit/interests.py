"""Customers as serving will see them at an instant: the input of every personal model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

import numpy as np

from recsys.arrays import Rows, offsets_of
from recsys.assortment import Assortment
from recsys.context import Contexts
from recsys.interactions import Interactions
from recsys.interest import Interest
from recsys.query import Query
from recsys.timelines import Weighted

BATCH = 512
"""Customers replayed together; bounds memory, changes nothing."""


@dataclass(frozen=True, slots=True)
class Customers:
    """All customers of some interactions at an instant, in batches of contexts.

    instant: datetime64[s]. n_items: of the vocabulary.
    """

    instant: np.datetime64
    batches: tuple[Contexts, ...]
    n_items: int

    @classmethod
    def at(cls, instant: np.datetime64, past: Interactions, assortment: Assortment) -> Self:
        """Return every customer, by user row, as the events before the instant leave them."""
        now = datetime.fromtimestamp(int(instant.astype("datetime64[s]").astype(np.int64)), UTC)
        nothing = Interest.of_types({}, 0.0)  # interests are asked for later, of any half-life
        batches = []
        for start in range(0, past.n_users, BATCH):
            users = np.arange(start, min(start + BATCH, past.n_users), dtype=np.int32)
            own = past.take((past.users >= start) & (past.users < start + BATCH))
            queries = [Query("train", now)] * len(users)
            batches.append(
                Contexts.replay(queries, own, users, assortment=assortment, interest=nothing)
            )
        return cls(instant, tuple(batches), past.n_items)

    def interests(self, interest: Interest) -> Weighted:
        """Return how much each customer cares for which item."""
        return stacked(
            [
                interest.of(batch.history, batch.purchases, batch.opinions, batch.now)
                for batch in self.batches
            ]
        )


def stacked(parts: Sequence[Weighted]) -> Weighted:
    """Return the queries of all parts, one after the other."""
    lengths = np.concatenate([np.diff(part.offsets) for part in parts])
    rows = np.concatenate([part.rows for part in parts])
    return Weighted(offsets_of(lengths), rows, np.concatenate([part.weights for part in parts]))


def chosen(interests: Weighted, queries: Rows) -> Weighted:
    """Return the interests of these (m,) queries, in their order."""
    lengths = np.diff(interests.offsets)[queries]
    offsets = offsets_of(lengths)
    within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
    places = np.repeat(interests.offsets[queries], lengths) + within
    return Weighted(offsets, interests.rows[places], interests.weights[places])
