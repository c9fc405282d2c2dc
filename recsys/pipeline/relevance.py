"""Relevance: which candidates are too far behind the best, and how much of it a list has kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from recsys.arrays import Mask, Rows, Scores, keys_of, looked_up
from recsys.candidates import Candidates
from recsys.context import Contexts


@dataclass(frozen=True, slots=True)
class Choice:
    """Lists that were chosen, and what it cost.

    propensities: (n,) float32, the chance that each listed item had to be in its list.
    irrelevant: (q,) candidates that left for their relevance. kept: (q,) float32 share of the
    relevance of the list that is chosen for relevance alone.
    """

    listed: Candidates
    propensities: Scores
    irrelevant: Rows
    kept: Scores

    @classmethod
    def certain(cls, listed: Candidates, irrelevant: Rows, kept: Scores) -> Self:
        """Return lists of which nothing was drawn."""
        return cls(listed, np.ones(len(listed), dtype=np.float32), irrelevant, kept)


def relevant_enough(contexts: Contexts, scored: Candidates, share: float) -> Mask:
    """Return which (n,) candidates score at least a share of their query's best.

    share: of queries that wish for no other. Where the best scores nothing, all are relevant.
    scored: in order of their queries.
    """
    shares = contexts.asked(lambda wished: wished.min_relevance, share)
    if not shares.any():
        return np.ones(len(scored), dtype=np.bool_)
    reached = scored.relative()
    told = np.bincount(scored.queries, weights=reached, minlength=len(contexts)) > 0
    enough: Mask = (reached >= shares[scored.queries]) | ~told[scored.queries]
    return enough


def relevance_kept(relevant: Candidates, listed: Candidates, plain: Candidates, n: int) -> Scores:
    """Return the (n,) relevance of lists as a share of that of plain ones; 1 where these have none.

    relevant: every candidate under its relevance, in order of queries and rows; an item that is not
    among them has none.
    """
    own, theirs = (_sums(relevant, found, n) for found in (listed, plain))
    kept: Scores = np.divide(own, theirs, out=np.ones_like(own), where=theirs > 0)
    return kept


def lost(before: Rows, after: Rows, n_queries: int) -> Rows:
    """Return how many candidates each query has less; both are the queries of candidates."""
    counts = (np.bincount(queries, minlength=n_queries) for queries in (before, after))
    return np.subtract(*counts).astype(np.int32)


def _sums(relevant: Candidates, found: Candidates, n_queries: int) -> Scores:
    pairs = keys_of(relevant.queries, relevant.rows)
    values = looked_up(pairs, relevant.scores, keys_of(found.queries, found.rows))
    return np.bincount(found.queries, weights=values, minlength=n_queries).astype(np.float32)
