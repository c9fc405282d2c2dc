"""What a placement's lists, and those of its plain peers, are worth on the same cases."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.sparse import csr_matrix

from recsys.arrays import Keys, Rows, Scores, frozen, owners, owners_of, rows_of
from recsys.assortment import Assortment
from recsys.bundle import ModelBundle
from recsys.candidates import Candidates
from recsys.context import Contexts
from recsys.eligibility import Eligibility
from recsys.evaluation.metrics import Values, hits, ndcg
from recsys.evaluation.replay import Cases, contexts_of, joined
from recsys.interactions import Interactions
from recsys.models.repurchase import RepurchaseModel
from recsys.pipeline.compile import compile_placements, conditions_of
from recsys.pipeline.pages import Placements, composed
from recsys.pipeline.placement import PlacementConfig, Situation
from recsys.pipeline.sources import BuyAgain, Popular
from recsys.query import Page
from recsys.timelines import Ragged

DEPTH = 10
BLOCK = 64
"""Queries that are scored together as a table of all items; bounds memory."""
FILL = 1e-6
"""What popularity counts beside cosines: it breaks ties and fills lists, and no more."""

OWN = "placement"
POPULAR = "popular"
FREQUENCY = "frequency"
BY_CUSTOMER = "neighbours"
BY_SESSION = "session_neighbours"
PEERS = (POPULAR, FREQUENCY, BY_CUSTOMER, BY_SESSION)

ListMaker = Callable[[Contexts, Eligibility], Candidates]


@dataclass(frozen=True, slots=True)
class Gained:
    """What one list-maker's first ten were worth in each case.

    users: (q,) who asked. hit_rates: 1 where they hold a right answer, else 0. ndcgs: of each.
    """

    users: Rows
    hit_rates: Values
    ndcgs: Values

    @classmethod
    def of(cls, listed: Candidates, cases: Cases) -> Self:
        """Return what lists were worth in these cases."""
        table = hits(listed, cases.targets, DEPTH)
        found: Values = np.where(table.any(axis=1), 1.0, 0.0)
        return cls(cases.users, found, ndcg(table, np.diff(cases.targets.offsets)))

    def and_of(self, other: Self) -> Self:
        """Return what the lists of two windows were worth."""
        return type(self)(
            np.concatenate((self.users, other.users)),
            np.concatenate((self.hit_rates, other.hit_rates)),
            np.concatenate((self.ndcgs, other.ndcgs)),
        )

    def by_customer(self) -> tuple[Values, Values]:
        """Return (n_customers,) hit rates and NDCG: who asked several times counts their mean."""
        _, places, counts = np.unique(self.users, return_inverse=True, return_counts=True)
        hit_rates: Values = np.bincount(places, weights=self.hit_rates) / counts
        ndcgs: Values = np.bincount(places, weights=self.ndcgs) / counts
        return hit_rates, ndcgs


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Plain nearest neighbours: an item scores the sum of its cosines to the items that count.

    Those are the items at hand, where there are any, else all that the asker ever met; an item is
    no neighbour of itself. Nothing is weighed, cut off or tuned (Sarwar et al. 2001).
    met: (n_groups, n_items) who met what; columns of unit length, or of none.
    known: (n_items,) 1 where anybody met the item, else 0: its cosine to itself.
    popularity: (n_items,) at most 1, for what has no neighbour.
    """

    met: csr_matrix
    known: Scores
    popularity: Scores

    @classmethod
    def of(cls, groups: Rows, events: Interactions, popularity: Scores) -> Self:
        """Return the neighbours by what the same (n_events,) groups met."""
        shape = (int(groups.max(initial=0)) + 1, events.n_items)
        ones = np.ones(len(events), dtype=np.float32)
        met = csr_matrix((ones, (groups, events.items)), shape=shape)
        met.data[:] = 1.0  # once, however often
        counts = np.bincount(met.indices, minlength=events.n_items)
        met.data /= np.sqrt(counts[met.indices]).astype(np.float32)
        known: Scores = (counts > 0).astype(np.float32)
        return cls(met, known, popularity / max(float(popularity.max()), 1e-12))

    def __call__(self, contexts: Contexts, eligible: Eligibility) -> Candidates:
        """Return each query's ten best eligible items."""
        asked = _met_by(contexts, len(self.popularity))
        parts = []
        for start in range(0, len(contexts), BLOCK):
            own = asked[start : start + BLOCK]
            scores = (own @ self.met.T @ self.met).toarray() + np.float32(FILL) * self.popularity
            scores -= own.multiply(self.known).toarray()
            for place in range(own.shape[0]):
                scores[place, ~eligible.of_query(start + place)] = -np.inf
            parts.append((range(start, start + own.shape[0]), _best_of(scores)))
        return joined(parts)


def peers_of(bundle: ModelBundle, past: Interactions) -> dict[str, ListMaker]:
    """Return the plain peers that know what the bundle knows, by name.

    past: what the bundle was learned from.
    """
    popular = Popular(bundle.popularity)
    counts = RepurchaseModel(np.ones(len(bundle.catalog), dtype=np.float32), 0.0)
    counts_of = bundle.popularity.counts
    return {
        POPULAR: lambda contexts, eligible: popular.retrieve(contexts, eligible, DEPTH),
        FREQUENCY: lambda contexts, eligible: BuyAgain(counts).retrieve(contexts, eligible, DEPTH),
        BY_CUSTOMER: Neighbours.of(past.users, past, counts_of),
        BY_SESSION: Neighbours.of(past.sessions(), past, counts_of),
    }


@dataclass(frozen=True, slots=True)
class Contest:
    """Placements over one bundle, with the peers that know the same."""

    bundle: ModelBundle
    placements: Placements
    peers: Mapping[str, ListMaker]

    @classmethod
    def of(
        cls, bundle: ModelBundle, configs: Mapping[str, PlacementConfig], past: Interactions
    ) -> Self:
        """Return the placements compiled against the bundle, and the peers."""
        conditions = conditions_of(bundle)
        placements = Placements(compile_placements(configs, bundle, conditions), conditions)
        return cls(bundle, placements, peers_of(bundle, past))

    def served(self, cases: Cases, known: Interactions) -> Candidates:
        """Return a placement's ten best for its cases, as served: its fallback behind them."""
        return joined(
            [(places, self._served(contexts)) for places, contexts in self._contexts(cases, known)]
        )

    def peers_lists(self, cases: Cases, known: Interactions) -> dict[str, Candidates]:
        """Return the ten best of every peer, within what the filters of the placement allow."""
        pipeline = self.placements.pipelines[cases.placement]
        found: dict[str, list[tuple[range, Candidates]]] = {name: [] for name in self.peers}
        for places, contexts in self._contexts(cases, known):
            eligible = pipeline.eligible(contexts.relating_to(pipeline.relates_to))
            for name, peer in self.peers.items():
                found[name].append((places, peer(contexts, eligible)))
        return {name: joined(parts) for name, parts in found.items()}

    def _contexts(self, cases: Cases, known: Interactions) -> Iterator[tuple[range, Contexts]]:
        assortment, interest = Assortment.of(self.bundle.catalog), self.bundle.interest
        return contexts_of(cases, known, assortment=assortment, interest=interest, limit=DEPTH)

    def _served(self, contexts: Contexts) -> Candidates:
        """Return the lists as pages of one slot get them."""
        pages = [Page((query,)) for query in contexts.queries]
        queries, rows = [], []
        for part in composed(pages, contexts, self.placements):
            asking = np.array([place.page for place in part.places], dtype=np.int32)
            queries.append(asking[part.filled.listed.queries])
            rows.append(part.filled.listed.rows)
        asked = np.concatenate(queries)
        return Candidates.of(asked, np.concatenate(rows), np.zeros(len(asked), dtype=np.float32))


def last_cases(placement: str, situation: Situation, events: Interactions, pairs: Keys) -> Cases:
    """Return each customer asking right behind their own last event, wanting what they buy then.

    pairs: (user, item) purchases behind the events, which hold none of them.
    """
    users = np.unique(owners_of(pairs))
    last = np.zeros(events.n_users, dtype="datetime64[s]")
    last[events.users] = events.times  # in time order: the last one stays
    instants = last[users] + np.timedelta64(1, "s")
    users = users[np.argsort(instants, kind="stable")]
    places = np.argsort(users, kind="stable")
    queries = places[np.searchsorted(users[places], owners_of(pairs))].astype(np.int32)
    return Cases(
        placement,
        situation,
        frozen(users),
        frozen(np.sort(instants)),
        Ragged.empty(len(users)),
        Ragged.of_pairs(queries, rows_of(pairs), len(users)),
    )


def _met_by(contexts: Contexts, n_items: int) -> csr_matrix:
    """Return the (q, n_items) items that count for each query, each once."""
    met = Ragged.empty(len(contexts))
    for line in (contexts.history, contexts.purchases):
        met = met.joined(Ragged(line.offsets, line.rows))
    seeded = np.diff(contexts.seeds.offsets) > 0
    rest = ~seeded[met.owners()]
    queries = np.concatenate((contexts.seeds.owners(), met.owners()[rest]))
    rows = np.concatenate((contexts.seeds.rows, met.rows[rest]))
    ones = np.ones(len(rows), dtype=np.float32)
    table = csr_matrix((ones, (queries, rows)), shape=(len(contexts), n_items))
    table.data[:] = 1.0
    return table


def _best_of(scores: Scores) -> Candidates:
    """Return the ten greatest finite scores of each row of a (q, n_items) table, best first."""
    depth = min(DEPTH, scores.shape[1])
    first = np.argpartition(-scores, depth - 1, axis=1)[:, :depth].astype(np.int32)
    found = np.take_along_axis(scores, first, axis=1)
    queries = owners(np.arange(0, found.size + 1, depth, dtype=np.int64))
    kept = np.isfinite(found.ravel())
    best = Candidates.of(queries[kept], first.ravel()[kept], found.ravel()[kept])
    return best.best(np.full(len(scores), DEPTH, dtype=np.int32))
