"""Shortlists: what sources propose once, for all lists of a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from recsys.arrays import Keys, Mask, Rows, Scores, keys_of, owners_of, places_within, rows_of
from recsys.candidates import Candidates, relative_to_best
from recsys.context import Contexts
from recsys.eligibility import Eligibility
from recsys.pipeline.stages import CandidateSource


@dataclass(frozen=True, slots=True)
class Shortlist:
    """The best `depth` items that a source proposes to each query, of those eligible."""

    eligible: Eligibility
    depth: int
    found: Candidates

    def without(self, gone: Keys, k: int, n_queries: int) -> Candidates:
        """Return the best `k` of each query but for the pairs of query and row that are gone.

        gone: ascending; those of a query are no more than `depth - k`.
        """
        found = self.found
        if len(gone):
            found = found.take(~_among(gone, keys_of(found.queries, found.rows)))
        elif k == self.depth:
            return found
        return found.first(np.full(n_queries, k, dtype=np.int32))


@dataclass(frozen=True, slots=True)
class Pool:
    """The shortlists of all sources of a placement, put together once for the lists of a page.

    pairs: (p,) the pairs of query and row that any of them holds, ascending.
    places: (n,) place among the pairs of each thing proposed: list by list, each as it stands.
    lists: (n,) int32, which list proposes it. segments: (n,) list and query as one number,
    ascending. scores: (n,) float32. n_lists: how many there are.
    """

    pairs: Keys
    places: Keys
    lists: Rows
    segments: Keys
    scores: Scores
    n_lists: int

    @classmethod
    def of(cls, lists: Sequence[Candidates]) -> Self:
        """Return these lists, pooled."""
        pairs, places = np.unique(
            np.concatenate([keys_of(one.queries, one.rows) for one in lists]), return_inverse=True
        )
        numbers = np.arange(len(lists), dtype=np.int32)
        numbers = np.repeat(numbers, [len(one) for one in lists])
        queries = np.concatenate([one.queries for one in lists])
        scores = np.concatenate([one.scores for one in lists])
        return cls(pairs, places, numbers, keys_of(numbers, queries), scores, len(lists))

    def merged(self, gone: Keys, depths: Sequence[int]) -> Candidates:
        """Return the best of each list, `depths` of each query but for the pairs that are gone.

        They are merged as `Candidates.merged` merges lists. gone: (m,) ascending.
        """
        left = np.flatnonzero(~_among(gone, self.pairs)[self.places]) if len(gone) else slice(None)
        lists, segments = self.lists[left], self.segments[left]
        best = places_within(segments) < np.array(depths)[lists]
        lists, segments, places = lists[best], segments[best], self.places[left][best]
        told = np.zeros(len(self.pairs), dtype=np.bool_)
        told[places] = True
        rank = np.cumsum(told) - 1
        pairs = self.pairs[told]
        signals = np.zeros((len(pairs), self.n_lists), dtype=np.float32)
        signals[rank[places], lists] = relative_to_best(segments, self.scores[left][best])
        nothing = np.zeros(len(pairs), dtype=np.float32)
        return Candidates(owners_of(pairs), rows_of(pairs), nothing, signals)


def shortlists(
    contexts: Contexts,
    eligible: Eligibility,
    asked: tuple[Sequence[CandidateSource], Sequence[int]],
    *,
    n_taken: int,
) -> list[Shortlist]:
    """Return what each source proposes, searched once for all lists of a page.

    A source proposes the best it may show. So what it proposes for one list holds what it
    proposes for another that may show less, if there is room for what was taken.
    asked: the sources, and how many items each is to propose beside those that are taken.
    """
    found, what = [], f"shortlists of {id(eligible)} about {contexts.about}"
    for source, k in zip(*asked, strict=True):
        made: list[Shortlist] = contexts.once(source, what, list)
        known = next((one for one in made if one.depth >= k + n_taken), None)
        if known is None:
            depth = k + max(contexts.room, n_taken)
            made.append(
                known := Shortlist(eligible, depth, source.retrieve(contexts, eligible, depth))
            )
        found.append(known)
    return found


def _among(some: Keys, keys: Keys) -> Mask:
    """Return which (n,) keys are among some others, which ascend and are not none."""
    found: Mask = some[np.minimum(np.searchsorted(some, keys), len(some) - 1)] == keys
    return found
