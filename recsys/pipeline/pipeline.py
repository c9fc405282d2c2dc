"""The pipeline: its stages in order, over a batch."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from recsys.arrays import Rows, Scores
from recsys.candidates import Candidates
from recsys.context import Contexts
from recsys.eligibility import Eligibility
from recsys.pipeline.stages import CandidateSource, Filter, Newcomers, Ranker, Selector

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
class Pipeline:
    """One placement, compiled against one bundle.

    size: how many items a query gets that does not say.
    newcomers: lets new items into the lists that are made.
    """

    size: int
    filters: tuple[Filter, ...]
    sources: tuple[NamedSource, ...]
    ranker: Ranker
    selector: Selector
    newcomers: Newcomers | None = None

    def run(self, contexts: Contexts) -> Candidates:
        """Return each query's list, best first; `signals` say what each source made of an item."""
        eligible = self.eligible(contexts)
        merged = self.retrieve(contexts, eligible)
        ranked = merged.scored(self.ranker.score(contexts, merged)).ordered()
        return self.finished(contexts, eligible, ranked, contexts.limits(self.size))

    def eligible(self, contexts: Contexts) -> Eligibility:
        """Return what each query may show: not what it excludes itself, and what filters leave."""
        eligible = Eligibility(contexts.shelf.products, contexts.excluded)
        for narrowing in self.filters:
            eligible = narrowing.narrow(contexts, eligible)
        return eligible

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
