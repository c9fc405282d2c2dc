"""Arranging: finished lists, changed so that pins and quotas hold, with what rules did to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from recsys.arrays import Mask, Rows, Scores, keys_of
from recsys.candidates import Candidates
from recsys.context import Contexts
from recsys.eligibility import Eligibility
from recsys.fill_report import Unmet
from recsys.pipeline.stages import Arranged, Missing
from recsys.rules.settling import Pool, Settled, settled
from recsys.rules.wishes import Pinned, Quota, Wish
from recsys.timelines import Ragged


@dataclass(frozen=True, slots=True)
class Scaled:
    """Multiplies the scores of some items, so that a factor above 1 always moves them up.

    mask: (n_items,) which items.
    """

    mask: Mask
    factor: float

    def adjust(self, contexts: Contexts, candidates: Candidates) -> Scores:
        """Return the scores; one below 0 is divided."""
        chosen, factor = self.mask[candidates.rows], np.float32(self.factor)
        scores = candidates.scores.copy()
        scores[chosen & (scores > 0)] *= factor
        scores[chosen & (scores < 0)] /= factor
        return scores


@dataclass(frozen=True, slots=True)
class Refused:
    """Refuses some items. mask: (n_items,) which."""

    mask: Mask

    def narrow(self, contexts: Contexts, eligible: Eligibility) -> Eligibility:
        """Return the eligibility without them."""
        return eligible.within(~self.mask) if self.mask.any() else eligible


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Has the last word on the lists of one placement, for askers to whom the same rules apply.

    wishes: by their priority. order: names of all rules, by their priority. size: of a list that
        does not say. scaled: of each boost and bury, which (n_items,) items. unanswered: rules
        whose filter the catalog of this moment cannot answer, and why.
    boosted: of each boost, which (n_items,) items: the best of them are proposed, however few they
        are among all items.
    ahead: rows of each query's list that stand before. more: whether another placement will fill
        up what is missing.
    """

    wishes: tuple[Wish, ...]
    order: tuple[str, ...]
    size: int
    scaled: Mapping[str, Mask]
    unanswered: tuple[Unmet, ...] = ()
    boosted: tuple[Mask, ...] = ()
    ahead: Ragged | None = None
    more: bool = False

    @property
    def says_anything(self) -> bool:
        """Whether there is anything to arrange, or to tell of."""
        return bool(self.wishes or self.scaled or self.unanswered)

    def missing(self, contexts: Contexts, found: Candidates) -> Iterator[Missing]:
        """Yield of what the sources proposed too few for wishes to hold, or boosts to act."""
        limits = contexts.limits(self.size)
        totals = limits + self._n_ahead(len(limits))
        for wish in self.wishes:
            if isinstance(wish, Pinned):
                mask = np.zeros(len(contexts.shelf.products), dtype=np.bool_)
                mask[wish.row : wish.row + 1] = wish.row >= 0
                yield _missing(mask, found, np.ones_like(limits))
                continue
            least = np.array([wish.fewest(total) for total in totals.tolist()], dtype=np.int32)
            yield _missing(wish.counted, found, least)
            most = np.array([wish.most(total) for total in totals.tolist()], dtype=np.int32)
            yield _others(wish, found, limits, most)
        for mask in self.boosted:
            yield _missing(mask, found, limits)

    def arrange(
        self, contexts: Contexts, eligible: Eligibility, listed: Candidates, ranked: Candidates
    ) -> Arranged:
        """Return the lists as the wishes want them, and what was made of the rules."""
        limits = contexts.limits(self.size).tolist()
        behind = _behind(listed, ranked)
        own = listed.followed_by(behind)
        whole = own.followed_by(self._spare(own, eligible, limits))
        n_listed, n_own = (_counts(one, limits) for one in (listed, own))
        bounds = np.searchsorted(whole.queries, np.arange(len(limits) + 1))
        places, unmet, rules = [np.empty(0, dtype=np.int64)], [], []
        for query, limit in enumerate(limits):
            rows = whole.rows[bounds[query] : bounds[query + 1]].tolist()
            ahead = self.ahead.at(query).tolist() if self.ahead else []
            pool = Pool(rows, n_listed[query], n_own[query], ahead, limit, self.more)
            done = settled(pool, self.wishes)
            places.append(bounds[query] + np.array(done.places, dtype=np.int64))
            unmet.append(self._unmet(done))
            rules += [self._names(rows[place], done.touched[place]) for place in done.places]
        return Arranged(whole.take(np.concatenate(places)), tuple(unmet), tuple(rules))

    def _spare(self, own: Candidates, eligible: Eligibility, limits: list[int]) -> Candidates:
        """Return what no source proposes, and a wish may need: under no score, by ascending row."""
        bounds = np.searchsorted(own.queries, np.arange(len(limits) + 1))
        ahead = self._n_ahead(len(limits)).tolist()
        found = [
            self._needed(own.rows[bounds[query] : bounds[query + 1]], eligible, query, limit + more)
            for query, (limit, more) in enumerate(zip(limits, ahead, strict=True))
        ]
        spare = Ragged.of(found)
        nothing = np.zeros(len(spare.rows), dtype=np.float32)
        signals = np.zeros((len(spare.rows), own.signals.shape[1]), dtype=np.float32)
        return replace(
            own, queries=spare.owners(), rows=spare.rows, scores=nothing, signals=signals
        )

    def _needed(self, own: Rows, eligible: Eligibility, query: int, total: int) -> Rows:
        """Return the rows beyond its own candidates that one query may need."""
        needed = np.zeros(len(eligible.shared), dtype=np.bool_)
        for wish in self.wishes:
            if isinstance(wish, Pinned):
                needed[wish.row : wish.row + 1] |= wish.row >= 0
            elif (missing := wish.fewest(total) - int(wish.counted[own].sum())) > 0:
                may = wish.counted & eligible.of_query(query)
                may[own] = False
                needed[np.flatnonzero(may)[:missing]] = True
        needed[own] = False
        rows = np.flatnonzero(needed).astype(np.int32)
        allowed = eligible.shared[rows] & ~np.isin(rows, eligible.excluded.at(query))
        return rows[allowed]

    def _n_ahead(self, n_queries: int) -> Rows:
        if self.ahead is None:
            return np.zeros(n_queries, dtype=np.int32)
        return np.diff(self.ahead.offsets).astype(np.int32)

    def _names(self, row: int, touched: list[str]) -> tuple[str, ...]:
        """Return the rules that touched an item of a list, by their priority."""
        scaled = [name for name, mask in self.scaled.items() if mask[row]]
        return tuple(name for name in self.order if name in touched or name in scaled)

    def _unmet(self, done: Settled) -> tuple[Unmet, ...]:
        unmet = done.unmet | {one.rule: one.why for one in self.unanswered}
        return tuple(Unmet(name, unmet[name]) for name in self.order if name in unmet)


def _behind(listed: Candidates, ranked: Candidates) -> Candidates:
    """Return what was ranked and is not listed, with as many signals as what is."""
    listed_keys = keys_of(listed.queries, listed.rows)
    behind = ranked.take(~np.isin(keys_of(ranked.queries, ranked.rows), listed_keys))
    for _ in range(listed.signals.shape[1] - ranked.signals.shape[1]):
        behind = behind.with_signal()
    return behind


def _counts(candidates: Candidates, limits: list[int]) -> list[int]:
    counts: list[int] = np.bincount(candidates.queries, minlength=len(limits)).tolist()
    return counts


def _missing(mask: Mask, found: Candidates, wanted: Rows) -> Missing:
    """Return that so many of the items of a mask are wanted by each query that has fewer."""
    have = np.bincount(found.queries[mask[found.rows]], minlength=len(wanted))
    return Missing(mask, np.where(have < wanted, wanted, 0).astype(np.int32))


def _others(wish: Quota, found: Candidates, limits: Rows, most: Rows) -> Missing:
    """Return that other items are wanted by each query that has too many of a kind alone.

    Others are those that do not count, and those of a group that no query has too many of.
    """
    groups = wish.groups[found.rows]
    pairs, counts = np.unique(keys_of(found.queries, groups), return_counts=True)
    queries, kinds = (pairs >> 32).astype(np.int32), (pairs & 0xFFFFFFFF).astype(np.int32)
    capped = kinds > 0
    usable = np.where(capped, np.minimum(counts, most[queries]), counts)
    have = np.bincount(queries, weights=usable, minlength=len(limits))
    lacking = have < limits
    full = np.unique(kinds[capped & (counts >= most[queries]) & lacking[queries]])
    mask = ~np.isin(wish.groups, full)
    return Missing(mask, np.where(lacking, limits, 0).astype(np.int32))
