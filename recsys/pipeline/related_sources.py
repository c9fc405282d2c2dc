"""Candidate sources that go from item to item: by what is at hand, or by what was just done."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsys.arrays import Rows, Scores, Vectors, entries_of
from recsys.candidates import Candidates
from recsys.context import Contexts
from recsys.eligibility import Eligibility
from recsys.index.index import VectorIndex
from recsys.models.factors import FactorModel
from recsys.models.neighbors import (
    NeighborModel,
    causes_as_rows,
    strongest_causes,
)
from recsys.models.sessions import SessionModel, steps_of
from recsys.pipeline.sources import best_allowed, of_queries
from recsys.timelines import Ragged, Weighted

POOL = 200
"""Items of greatest inner product among which the greatest cosines are looked for, or as many as
are wanted. Lists are better so than by cosine over all items, in three shops out of three (ADR 7):
directions of rare items are mostly chance."""


@dataclass(frozen=True, slots=True)
class SimilarToHistory:
    """Neighbours of what the customer cares for."""

    model: NeighborModel

    def retrieve(self, contexts: Contexts, eligible: Eligibility, k: int) -> Candidates:
        """Return the items most similar to all interests together."""
        scored = contexts.once(self.model, "alike", lambda: self.model.score(contexts.interests))
        return best_allowed(scored, eligible, k)

    def anchors(self, contexts: Contexts, candidates: Candidates) -> Rows:
        """Return the interest nearest to each candidate."""
        return self.model.anchors(contexts.interests, candidates.queries, candidates.rows)


@dataclass(frozen=True, slots=True)
class GoesWith:
    """Neighbours of the items on the page or in the cart; nothing where there is none."""

    model: NeighborModel

    def retrieve(self, contexts: Contexts, eligible: Eligibility, k: int) -> Candidates:
        """Return the items that go best with all of them together."""
        return best_allowed(self.model.score(_evenly(contexts.related)), eligible, k)

    def anchors(self, contexts: Contexts, candidates: Candidates) -> Rows:
        """Return the item at hand that each candidate goes with most."""
        return self.model.anchors(_evenly(contexts.related), candidates.queries, candidates.rows)


@dataclass(frozen=True, slots=True)
class Alike:
    """Items whose vectors point where those of the items at hand do; newcomers' foreseen ones too.

    A candidate scores the sum of its cosines to all of them. The best are looked for among the
    `POOL` eligible ones of greatest inner product, so that a list is full where enough qualify.
    """

    model: FactorModel
    index: VectorIndex

    def retrieve(self, contexts: Contexts, eligible: Eligibility, k: int) -> Candidates:
        """Return the items most alike to all at hand together, these themselves left out."""
        related = contexts.related
        asking = np.flatnonzero(np.diff(related.offsets)).astype(np.int32)
        directions = _sums(_units(self.model.of_rows(related.rows)), related)[asking]
        others = of_queries(eligible.without(related), asking)
        if not len(asking):
            return Candidates.of(asking, asking, np.empty(0, dtype=np.float32))
        hits = self.index.search(directions, max(k, POOL), others)
        places, columns = np.nonzero(hits.rows >= 0)
        rows = hits.rows[places, columns]
        cosines = hits.scores[places, columns] / _lengths(self.model.of_rows(rows))
        found = cosines > 0
        limits = np.full(len(contexts), k, dtype=np.int32)
        return Candidates.of(asking[places[found]], rows[found], cosines[found]).best(limits)

    def anchors(self, contexts: Contexts, candidates: Candidates) -> Rows:
        """Return the item at hand to which each candidate is most alike."""
        related = contexts.related
        lengths = np.diff(related.offsets)[candidates.queries]
        pairs = np.repeat(np.arange(len(candidates), dtype=np.int32), lengths)
        causes = entries_of(related.offsets, candidates.queries)
        near = _units(self.model.of_rows(related.rows))[causes]
        cosines = np.einsum("nd,nd->n", near, self.model.of_rows(candidates.rows)[pairs])
        best = strongest_causes(pairs, causes.astype(np.int32), cosines, len(candidates))
        return causes_as_rows(best, related.rows)


@dataclass(frozen=True, slots=True)
class LikeSessions:
    """What others went on to in sessions like the asker's newest; the asker may be a stranger."""

    model: SessionModel

    def retrieve(self, contexts: Contexts, eligible: Eligibility, k: int) -> Candidates:
        """Return the items of the sessions most like the asker's."""
        scored = contexts.once(self.model, "next", lambda: self.model.score(self._steps(contexts)))
        return best_allowed(scored, eligible, k)

    def anchors(self, contexts: Contexts, candidates: Candidates) -> Rows:
        """Return the step of the asker's session that did most to bring each candidate."""
        return self.model.anchors(self._steps(contexts), candidates.queries, candidates.rows)

    def _steps(self, contexts: Contexts) -> Ragged:
        return contexts.once(
            steps_of, "steps", lambda: steps_of(contexts.history, contexts.purchases)
        )


RelatedSource = SimilarToHistory | GoesWith | Alike | LikeSessions


def _evenly(seeds: Ragged) -> Weighted:
    """Return the seeds as interests of equal weight, ascending within a query."""
    ones = np.ones(len(seeds.rows), dtype=np.float32)
    return Weighted.summed(seeds.owners(), seeds.rows, ones, len(seeds))


def _units(vectors: Vectors) -> Vectors:
    """Return the (n, dim) vectors at length one; those of length zero as they are."""
    units: Vectors = vectors / _lengths(vectors)[:, np.newaxis]
    return units


def _lengths(vectors: Vectors) -> Scores:
    """Return the length of each (n, dim) vector, 1 of those of length zero."""
    lengths: Scores = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    return np.where(lengths > 0, lengths, np.float32(1))


def _sums(vectors: Vectors, lists: Ragged) -> Vectors:
    """Return the (q, dim) sum of the vectors of each list."""
    sums = np.zeros((len(lists), vectors.shape[1]), dtype=np.float32)
    np.add.at(sums, lists.owners(), vectors)
    return sums
