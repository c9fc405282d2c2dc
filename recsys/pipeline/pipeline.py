"""The pipeline: its stages in order, over a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from recsys.arrays import Rows, Scores
from recsys.candidates import Candidates
from recsys.context import Contexts, RelatesTo
from recsys.eligibility import Eligibility
from recsys.pipeline.stages import CandidateSource, Filter, Newcomers, Ranker, Selector
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
class Pipeline:
    """One placement, compiled against one bundle.

    size: how many items a query gets that does not say.
    newcomers: lets new items into the lists that are made.
    relates_to: which of the items at hand the list is about.
    fallback: the placement that fills a list this one cannot; empty for none.
    """

    size: int
    filters: tuple[NamedFilter, ...]
    sources: tuple[NamedSource, ...]
    ranker: Ranker
    selector: Selector
    newcomers: Newcomers | None = None
    relates_to: RelatesTo = RelatesTo.BOTH
    fallback: str = ""

    def run(self, contexts: Contexts) -> Candidates:
        """Return each query's list, best first; `signals` say what each source made of an item."""
        return self._listed(contexts, self.eligible(contexts))

    def fill(self, contexts: Contexts, taken: Ragged, more: Sequence[NamedFilter] = ()) -> Filled:
        """Return the lists that `run` gives, and why they are as long as they are.

        taken: rows in earlier lists of each query's page. more: filters behind the placement's own.
        """
        contexts = contexts.relating_to(self.relates_to)
        eligible = Eligibility(contexts.shelf.products, contexts.excluded)
        removed: list[tuple[str, Rows]] = []
        left = eligible.counts()
        for named in (*self.filters, *more):
            eligible = named.filter.narrow(contexts, eligible)
            before, left = left, eligible.counts()
            removed.append((named.name, before - left))
        free = eligible.without(taken)
        return Filled(
            self._listed(contexts, free),
            contexts.limits(self.size),
            left,
            left - free.counts(),
            tuple(removed),
        )

    def eligible(self, contexts: Contexts) -> Eligibility:
        """Return what each query may show: not what it excludes itself, and what filters leave."""
        eligible = Eligibility(contexts.shelf.products, contexts.excluded)
        for named in self.filters:
            eligible = named.filter.narrow(contexts, eligible)
        return eligible

    def _listed(self, contexts: Contexts, eligible: Eligibility) -> Candidates:
        merged = self.retrieve(contexts, eligible)
        ranked = merged.scored(self.ranker.score(contexts, merged)).ordered()
        return self.finished(contexts, eligible, ranked, contexts.limits(self.size))

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
