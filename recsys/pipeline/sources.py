"""Candidate sources: each folds the batch in with its own model and proposes items.

A source also names its anchors: which item of the asker, or of the page, brought a candidate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsys.arrays import Mask, Rows, Vectors
from recsys.candidates import Candidates
from recsys.context import Contexts
from recsys.eligibility import Eligibility
from recsys.index.index import VectorIndex
from recsys.models.factors import FactorModel, FoldedIn
from recsys.models.popularity import PopularityModel
from recsys.models.repurchase import RepurchaseModel
from recsys.timelines import Ragged, Weighted


@dataclass(frozen=True, slots=True)
class Nearest:
    """Items whose vectors are nearest to the customer's, folded in from interests."""

    model: FactorModel
    index: VectorIndex

    def retrieve(self, contexts: Contexts, eligible: Eligibility, k: int) -> Candidates:
        """Return the items of greatest inner product; nothing for who has no interests."""
        asking = np.flatnonzero(np.diff(contexts.interests.offsets)).astype(np.int32)
        if not len(asking):
            return Candidates.of(asking, asking, np.empty(0, dtype=np.float32))
        vectors = folded_in(self.model, contexts)[asking]
        hits = self.index.search(vectors, k, of_queries(eligible, asking))
        found = (hits.rows >= 0) & (hits.scores > 0)
        queries = np.repeat(asking, found.sum(axis=1))
        return Candidates.of(queries, hits.rows[found], hits.scores[found])

    def anchors(self, contexts: Contexts, candidates: Candidates) -> Rows:
        """Return the interest that did most to bring each candidate."""
        return askers(self.model, contexts).anchors(candidates.queries, candidates.rows)


@dataclass(frozen=True, slots=True)
class BuyAgain:
    """What the customer bought before, by how often, how lately, and how repeatable it is."""

    model: RepurchaseModel

    def retrieve(self, contexts: Contexts, eligible: Eligibility, k: int) -> Candidates:
        """Return the customer's own likeliest repurchases."""
        scored = contexts.once(
            self.model, "again", lambda: self.model.score(contexts.purchases, contexts.now)
        )
        return best_allowed(scored, eligible, k)

    def anchors(self, contexts: Contexts, candidates: Candidates) -> Rows:
        """Return each candidate itself: it is here because it was bought."""
        return candidates.rows


@dataclass(frozen=True, slots=True)
class Popular:
    """What everybody buys of late; it knows every item, so with it a list is always full."""

    model: PopularityModel

    def retrieve(self, contexts: Contexts, eligible: Eligibility, k: int) -> Candidates:
        """Return the most popular eligible items."""
        # So many that k remain for every query.
        enough = self._most_popular(eligible.shared, k + eligible.most_excluded())
        queries = np.repeat(np.arange(len(contexts), dtype=np.int32), len(enough))
        rows = np.tile(enough, len(contexts))
        allowed = eligible.allows(queries, rows)
        found = Candidates.of(queries[allowed], rows[allowed], self.model.counts[rows[allowed]])
        return found.first(np.full(len(contexts), k, dtype=np.int32))

    def anchors(self, contexts: Contexts, candidates: Candidates) -> Rows:
        """Return -1: no item in particular brought a popular one."""
        return np.full(len(candidates), -1, dtype=np.int32)

    def _most_popular(self, mask: Mask, n_items: int) -> Rows:
        """Return the first `n_items` rows of the mask, looking no deeper than it takes."""
        depth = n_items
        while True:
            front = self.model.order[:depth]
            found = front[mask[front]]
            if len(found) >= n_items or depth >= len(mask):
                return found[:n_items]
            depth *= 4


Source = Nearest | BuyAgain | Popular


def folded_in(model: FactorModel, contexts: Contexts) -> Vectors:
    """Return the (q, dim) vectors of the askers."""
    return askers(model, contexts).vectors


def askers(model: FactorModel, contexts: Contexts) -> FoldedIn:
    """Return the askers as a model sees them, folded in once for all who ask for them."""
    return contexts.once(model, "folded", lambda: model.folded_in(contexts.interests))


def of_queries(eligible: Eligibility, queries: Rows) -> Eligibility:
    """Return the eligibility of these (m,) queries of the batch alone."""
    if len(queries) == len(eligible.excluded):
        return eligible
    return Eligibility(
        eligible.shared, Ragged.of([eligible.excluded.at(int(query)) for query in queries])
    )


def best_allowed(scored: Weighted, eligible: Eligibility, k: int) -> Candidates:
    """Return each query's `k` heaviest rows among those it may show, best first."""
    queries = scored.owners()
    allowed: Mask = eligible.allows(queries, scored.rows)
    found = Candidates.of(queries[allowed], scored.rows[allowed], scored.weights[allowed])
    return found.best(np.full(len(eligible.excluded), k, dtype=np.int32))
