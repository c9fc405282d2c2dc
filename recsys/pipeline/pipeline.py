"""The pipeline: its stages in order, over a batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from recsys.arrays import Rows, Scores
from recsys.candidates import Candidates
from recsys.conditions import Needs
from recsys.context import Contexts, RelatesTo
from recsys.eligibility import Eligibility
from recsys.pipeline.stages import Adjuster, CandidateSource, Filter, Newcomers, Ranker, Selector
from recsys.query import FillReport, Removed
from recsys.timelines import Ragged

NEWCOMERS = "newcomers"
"""What answers name as the source of an item that is listed for its newness."""


@dataclass(frozen=True, slots=True)
class NamedSource:
    """A candidate source as a placement uses it.

    k: most candidates it proposes for each query; a longer list raises it.
    """

    name: str
    source: CandidateSource
    k: int


@dataclass(frozen=True, slots=True)
class NamedFilter:
    """A filter, and what a report calls it."""

    name: str
    filter: Filter


def _as_it_is(selector: Selector) -> Selector:
    return selector


@dataclass(frozen=True, slots=True)
class Additions:
    """What some lists of a placement have beside it: what their request states, and rules.

    filters, adjusters: behind the placement's own. around: the selector that takes the place of
    the placement's, given that.
    """

    filters: tuple[NamedFilter, ...] = ()
    adjusters: tuple[Adjuster, ...] = ()
    around: Callable[[Selector], Selector] = _as_it_is


NOTHING_MORE = Additions()


@dataclass(frozen=True, slots=True)
class Filled:
    """The lists of a batch, and why each is as long as it is.

    listed: each query's list, best first. wanted, eligible, on_page: (q,) items asked for, left by
    all filters, and of these in earlier lists of the page. removed: the name of each filter, and
    the (q,) items it took away.
    """

    listed: Candidates
    wanted: Rows
    eligible: Rows
    on_page: Rows
    removed: tuple[tuple[str, Rows], ...]

    def lengths(self) -> Rows:
        """Return the (q,) lengths of the lists."""
        return np.bincount(self.listed.queries, minlength=len(self.wanted)).astype(np.int32)

    def report(self, query: int) -> FillReport:
        """Return why one list is as long as it is."""
        return FillReport(
            wanted=int(self.wanted[query]),
            eligible=int(self.eligible[query]),
            returned=int(np.count_nonzero(self.listed.queries == query)),
            on_page=int(self.on_page[query]),
            removed=tuple(Removed(name, int(counts[query])) for name, counts in self.removed),
        )


@dataclass(frozen=True, slots=True)
class _Narrowed:
    """What some filters left. left: (q,) items. removed: by each filter, in their order."""

    eligible: Eligibility
    left: Rows
    removed: tuple[tuple[str, Rows], ...]

    def by(self, named: NamedFilter, contexts: Contexts) -> _Narrowed:
        """Return what one filter more leaves."""
        eligible = named.filter.narrow(contexts, self.eligible)
        if eligible is self.eligible:
            nothing = np.zeros_like(self.left)
            return replace(self, removed=(*self.removed, (named.name, nothing)))
        left = eligible.counts()
        return _Narrowed(eligible, left, (*self.removed, (named.name, self.left - left)))


@dataclass(frozen=True, slots=True)
class _Shortlist:
    """The best `depth` items that a source proposes to each query, of those eligible."""

    eligible: Eligibility
    depth: int
    found: Candidates

    def of(self, free: Eligibility, k: int) -> Candidates:
        """Return the best `k` of those that are still free."""
        found = self.found
        if free is not self.eligible:
            found = found.take(free.allows(found.queries, found.rows))
        elif k == self.depth:
            return found
        return found.first(np.full(len(free.excluded), k, dtype=np.int32))


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One placement, compiled against one bundle.

    size: how many items a query gets that does not say.
    newcomers: lets new items into the lists that are made.
    adjusters: change the ranker's scores, in their order.
    relates_to: which of the items at hand the list is about.
    fallback: the placement that fills a list this one cannot; empty for none.
    needs: fields of customer and page that its filters read: lists are made together, and fast, for
        those for whom they hold the same.
    """

    size: int
    filters: tuple[NamedFilter, ...]
    sources: tuple[NamedSource, ...]
    ranker: Ranker
    selector: Selector
    newcomers: Newcomers | None = None
    adjusters: tuple[Adjuster, ...] = ()
    relates_to: RelatesTo = RelatesTo.BOTH
    fallback: str = ""
    needs: Needs = frozenset()

    def run(self, contexts: Contexts) -> Candidates:
        """Return each query's list, best first; `signals` say what each source made of an item."""
        eligible = self.eligible(contexts)
        return self._finished(contexts, eligible, self.retrieve(contexts, eligible))

    def fill(self, contexts: Contexts, taken: Ragged, more: Additions = NOTHING_MORE) -> Filled:
        """Return the lists that `run` gives, and why they are as long as they are.

        taken: rows in earlier lists of each query's page.
        """
        contexts = contexts.relating_to(self.relates_to)
        narrowed = contexts.once(self.filters, "narrowed", lambda: self._narrowed(contexts))
        for named in more.filters:
            narrowed = narrowed.by(named, contexts)
        free = narrowed.eligible.without(taken)
        left = free.counts() if len(taken.rows) else narrowed.left
        n_taken = int(np.diff(taken.offsets).max(initial=0))
        merged = self._shortlisted(contexts, narrowed.eligible, free, n_taken)
        return Filled(
            self._finished(contexts, free, merged, more),
            contexts.limits(self.size),
            narrowed.left,
            narrowed.left - left,
            narrowed.removed,
        )

    def _narrowed(self, contexts: Contexts) -> _Narrowed:
        """Return what the filters leave, which placements with the same filters share."""
        eligible = Eligibility(contexts.shelf.products, contexts.excluded)
        narrowed = _Narrowed(eligible, eligible.counts(), ())
        for named in self.filters:
            narrowed = narrowed.by(named, contexts)
        return narrowed

    def _shortlisted(
        self, contexts: Contexts, eligible: Eligibility, free: Eligibility, n_taken: int
    ) -> Candidates:
        """Return what `retrieve` finds among the free, searched once for all lists of the pages.

        A source proposes the best it may show. So what it proposes for one list holds what it
        proposes for another that may show less, if there is room for what was taken: at most
        `n_taken` items of a page.
        """
        longest, found = int(contexts.limits(self.size).max(initial=0)), []
        what = f"shortlists of {id(eligible)} about {self.relates_to}"
        for named in self.sources:
            k = max(named.k, longest)
            made: list[_Shortlist] = contexts.once(named.source, what, list)
            known = next((one for one in made if one.depth >= k + n_taken), None)
            if known is None:
                depth = k + max(contexts.room, n_taken)
                proposed = named.source.retrieve(contexts, eligible, depth)
                made.append(known := _Shortlist(eligible, depth, proposed))
            found.append(known.of(free, k))
        return Candidates.merged(found)

    def eligible(self, contexts: Contexts) -> Eligibility:
        """Return what each query may show: not what it excludes itself, and what filters leave."""
        eligible = Eligibility(contexts.shelf.products, contexts.excluded)
        for named in self.filters:
            eligible = named.filter.narrow(contexts, eligible)
        return eligible

    def _finished(
        self,
        contexts: Contexts,
        eligible: Eligibility,
        merged: Candidates,
        more: Additions = NOTHING_MORE,
    ) -> Candidates:
        """Return the lists made of the candidates of all sources."""
        ranked = merged.scored(self.ranker.score(contexts, merged))
        for adjuster in (*self.adjusters, *more.adjusters):
            ranked = ranked.scored(adjuster.adjust(contexts, ranked))
        chosen = replace(self, selector=more.around(self.selector))
        return chosen.finished(contexts, eligible, ranked.ordered(), contexts.limits(self.size))

    def retrieve(self, contexts: Contexts, eligible: Eligibility) -> Candidates:
        """Return the candidates of every source, merged."""
        longest = int(contexts.limits(self.size).max(initial=0))
        found = [
            named.source.retrieve(contexts, eligible, max(named.k, longest))
            for named in self.sources
        ]
        return Candidates.merged(found)

    def finished(
        self, contexts: Contexts, eligible: Eligibility, ranked: Candidates, limits: Rows
    ) -> Candidates:
        """Return the lists made of ranked candidates, at most `limits` (q,) long."""
        listed = self.selector.select(contexts, ranked, limits)
        if self.newcomers is None:
            return listed
        return self.newcomers.introduce(contexts, eligible, listed)

    def contributions(self, listed: Candidates) -> Scores:
        """Return the (n, n_names) part of each source in the scores of lists that are finished."""
        n_ranked = len(self.sources)
        ranked = replace(listed, signals=listed.signals[:, :n_ranked])
        return np.column_stack((self.ranker.contributions(ranked), listed.signals[:, n_ranked:]))

    @property
    def proposing(self) -> tuple[str, ...]:
        """The names of the sources: those behind the columns of `signals` of candidates."""
        return tuple(named.name for named in self.sources)

    @property
    def source_names(self) -> tuple[str, ...]:
        """The names behind the columns of `signals` of a list: of the sources, and of newcomers."""
        return self.proposing if self.newcomers is None else (*self.proposing, NEWCOMERS)
