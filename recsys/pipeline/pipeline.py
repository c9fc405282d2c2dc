"""The pipeline: its four stages in order, over a batch."""

from __future__ import annotations

from dataclasses import dataclass

from recsys.candidates import Candidates
from recsys.context import Contexts
from recsys.eligibility import Eligibility
from recsys.pipeline.stages import CandidateSource, Filter, Ranker, Selector


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
    """

    size: int
    filters: tuple[Filter, ...]
    sources: tuple[NamedSource, ...]
    ranker: Ranker
    selector: Selector
    n_items: int

    def run(self, contexts: Contexts) -> Candidates:
        """Return each query's list, best first; `signals` say what each source made of an item."""
        limits = contexts.limits(self.size)
        merged = self.retrieve(contexts, self.eligible(contexts))
        ranked = merged.scored(self.ranker.score(contexts, merged)).ordered()
        return self.selector.select(contexts, ranked, limits)

    def eligible(self, contexts: Contexts) -> Eligibility:
        """Return what each query may show: not what it excludes itself, and what filters leave."""
        eligible = Eligibility.everything(self.n_items, len(contexts)).without(contexts.excluded)
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

    @property
    def source_names(self) -> tuple[str, ...]:
        """The names behind the columns of `signals`."""
        return tuple(named.name for named in self.sources)
