"""Sources of what others want: what is trending, and what is popular where the asker is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsys.arrays import Mask, Rows, Scores, keys_of
from recsys.candidates import Candidates
from recsys.context import Contexts
from recsys.eligibility import Eligibility
from recsys.models.trends import Ranked
from recsys.pipeline.sources import Popular
from recsys.query import Query, Tier

_BEHIND = 0.999
"""What stands behind is worth less than the last before it."""


@dataclass(frozen=True, slots=True)
class Trending:
    """What is wanted more than usual of late, in the market of who asks."""

    def retrieve(self, contexts: Contexts, eligible: Eligibility, k: int) -> Candidates:
        """Return the items whose rise is least likely to be chance; nothing where nothing rises."""
        ranked = contexts.trends.trending(contexts.market)
        everyone = np.arange(len(contexts), dtype=np.int32)
        return _best(ranked, eligible, everyone, k)

    def anchors(self, contexts: Contexts, candidates: Candidates) -> Rows:
        """Return -1: no item in particular brought a trending one."""
        return np.full(len(candidates), -1, dtype=np.int32)


@dataclass(frozen=True, slots=True)
class PopularThere:
    """What everybody buys; for whom nothing is known of, what is wanted in their market.

    That is so in markets of which enough is counted. What nobody wanted there stands behind, as it
    sells elsewhere, so that a list is always full.
    """

    everybody: Popular

    def retrieve(self, contexts: Contexts, eligible: Eligibility, k: int) -> Candidates:
        """Return the most popular eligible items."""
        found = self.everybody.retrieve(contexts, eligible, k)
        if not contexts.trends.tells_of(contexts.market):
            return found
        unknown: Mask = np.array(
            [tier is Tier.POPULAR for tier in knowing(contexts)], dtype=np.bool_
        )
        if not unknown.any():
            return found
        ranked = contexts.trends.popular(contexts.market)
        there = _best(ranked, eligible, np.flatnonzero(unknown).astype(np.int32), k)
        known, others = found.take(~unknown[found.queries]), found.take(unknown[found.queries])
        behind = self._behind(ranked, there, others)
        limits = np.full(len(contexts), k, dtype=np.int32)
        return known.followed_by(there.followed_by(behind).first(limits))

    def _behind(self, ranked: Ranked, there: Candidates, others: Candidates) -> Candidates:
        """Return those of others that nobody wanted there, below all that somebody did."""
        taken = keys_of(there.queries, there.rows)
        rest = others.take(~np.isin(keys_of(others.queries, others.rows), taken))
        most = max(float(self.everybody.model.counts.max(initial=0.0)), 1e-9)
        least = float(ranked.scores[-1]) if len(ranked.rows) else 1.0
        return rest.scored(rest.scores * np.float32(_BEHIND * least / most))

    def anchors(self, contexts: Contexts, candidates: Candidates) -> Rows:
        """Return -1: no item in particular brought a popular one."""
        return self.everybody.anchors(contexts, candidates)


def knowing(contexts: Contexts) -> list[Tier]:
    """Return, for each query, how much is known of its asker, or of what is at hand."""
    lines = (contexts.history, contexts.purchases, contexts.opinions)
    remembered = np.sum([np.diff(line.offsets) for line in lines], axis=0) > 0
    seeded = np.diff(contexts.related.offsets) > 0
    return [
        _tier(query, bool(knows), bool(seeds))
        for query, knows, seeds in zip(contexts.queries, remembered, seeded, strict=True)
    ]


def _tier(query: Query, knows: bool, seeded: bool) -> Tier:
    if knows and (query.user_id or query.visitor_id):
        return Tier.PERSONAL
    return Tier.SESSION if knows or seeded else Tier.POPULAR


WantedSource = Trending | PopularThere


def _best(ranked: Ranked, eligible: Eligibility, asking: Rows, k: int) -> Candidates:
    """Return the first `k` of ranked items that each of these (m,) queries may show."""
    places = np.flatnonzero(eligible.shared[ranked.rows])
    places = places[: k + eligible.most_excluded()]  # so many that k remain for every query
    queries = np.repeat(asking, len(places))
    rows = np.tile(ranked.rows[places], len(asking))
    scores: Scores = np.tile(ranked.scores[places], len(asking))
    allowed = eligible.allows(queries, rows)
    found = Candidates.of(queries[allowed], rows[allowed], scores[allowed])
    return found.first(np.full(len(eligible.excluded), k, dtype=np.int32))
