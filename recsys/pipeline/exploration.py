"""Exploration: a share of places for candidates from below the cut, each with a known chance.

Who is drawn follows from asker, placement and hour by a stable hash, so a question repeats itself;
over askers and hours it is a fair draw, and what is learned from the lists can be weighed by it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import Mask, Scores, keys_of, places_within
from recsys.candidates import Candidates
from recsys.context import Contexts
from recsys.pipeline.chance import Hashes, hashes, mixed, units
from recsys.pipeline.insertion import Counts, leaving, spread

POOL = 3
"""Candidates below the cut among which is drawn, for each place of a list."""

Chances = NDArray[np.floating]

_OWN_STREAM = np.uint64(0x6578706C6F726572)
"""Keeps these draws apart from those of newcomers."""


@dataclass(frozen=True, slots=True)
class Explored:
    """Lists, and the (n,) float32 chance that each item had to be in its list."""

    listed: Candidates
    propensities: Scores


@dataclass(frozen=True, slots=True)
class Exploration:
    """Gives a share of each list to the candidates that come next, any of them alike.

    A list keeps its length, its first item, its newcomers and the order of the others, the last of
    which leave. It has at most its share of places for those drawn, rounded up.

    share: of a list, on average over askers and hours.
    """

    share: float

    def explore(self, contexts: Contexts, ranked: Candidates, listed: Candidates) -> Explored:
        """Return the lists with others drawn into them. ranked: best first within each query."""
        n_queries = len(contexts)
        staying: Mask = np.any(listed.signals[:, ranked.signals.shape[1] :] != 0, axis=1)
        lengths = np.bincount(listed.queries, minlength=n_queries)
        pool = _below(ranked, listed, POOL * lengths)
        sizes = np.bincount(pool.queries, minlength=n_queries)
        first = places_within(listed.queries) == 0
        free = np.bincount(listed.queries[~staying & ~first], minlength=n_queries)
        drawn = mixed(hashes(contexts.queries, contexts.now.astype(np.int64)) ^ _OWN_STREAM)
        draw = _Draw.of(self.share * lengths, np.minimum(sizes, free), units(drawn))
        more = _drawn(pool, drawn, draw.counts)
        away = leaving(listed, staying, draw.counts)
        chances = np.where(leaving(listed, staying, draw.most), 1 - draw.chances[listed.queries], 1)
        kept, new = listed.take(~away), _as_wide(more, listed)
        order = spread(kept.queries, new.queries, lengths, units(mixed(drawn)))
        joined = _behind(kept, new).take(order)
        shares = (draw.fewest + draw.chances) / np.maximum(sizes, 1)
        propensities = np.concatenate((chances[~away], shares[new.queries]))[order]
        return Explored(joined, propensities.astype(np.float32))


@dataclass(frozen=True, slots=True)
class _Draw:
    """How many items are drawn into each list: `fewest`, or one more with a chance (q,)."""

    fewest: Counts
    chances: Chances
    counts: Counts

    @classmethod
    def of(cls, wanted: Chances, bound: Counts, drawn: Chances) -> _Draw:
        """Return the draw of as many as wanted on average, at most `bound`, by units (q,)."""
        whole = np.floor(wanted).astype(np.int64)
        fewest = np.minimum(whole, bound)
        chances = np.where(whole < bound, wanted - whole, 0.0)
        return cls(fewest, chances, fewest + (drawn < chances))

    @property
    def most(self) -> Counts:
        """The (q,) most items that may be drawn."""
        return self.fewest + (self.chances > 0)


def _below(ranked: Candidates, listed: Candidates, most: Counts) -> Candidates:
    """Return the best candidates of each query that its list has not."""
    there = np.isin(keys_of(ranked.queries, ranked.rows), keys_of(listed.queries, listed.rows))
    return ranked.take(~there).first(most.astype(np.int32))


def _drawn(pool: Candidates, drawn: Hashes, counts: Counts) -> Candidates:
    """Return so many of each query's pool, any of them alike."""
    keys = mixed(drawn[pool.queries] ^ mixed(pool.rows.astype(np.uint64)))
    return pool.take(np.lexsort((keys, pool.queries))).first(counts.astype(np.int32))


def _as_wide(found: Candidates, listed: Candidates) -> Candidates:
    """Return the candidates with as many signals as the listed have."""
    missing = listed.signals.shape[1] - found.signals.shape[1]
    nothing = np.zeros((len(found), missing), dtype=np.float32)
    return replace(found, signals=np.concatenate((found.signals, nothing), axis=1))


def _behind(kept: Candidates, new: Candidates) -> Candidates:
    """Return both end to end, in no order of queries."""
    return Candidates(
        np.concatenate((kept.queries, new.queries)),
        np.concatenate((kept.rows, new.rows)),
        np.concatenate((kept.scores, new.scores)),
        np.concatenate((kept.signals, new.signals)),
    )
