"""The pipeline: its stages in order, over a batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from recsys.arrays import Rows, Scores, keys_of
from recsys.candidates import Candidates
from recsys.conditions import Needs
from recsys.context import Contexts, RelatesTo
from recsys.eligibility import Eligibility
from recsys.ids import ItemId
from recsys.pipeline.diversity import Diverse
from recsys.pipeline.exploration import Exploration
from recsys.pipeline.filled import Filled
from recsys.pipeline.narrowed import Narrowed
from recsys.pipeline.relevance import Choice, lost, relevance_kept, relevant_enough
from recsys.pipeline.shortlist import Pool, shortlists
from recsys.pipeline.stages import (
    Adjuster,
    Arranger,
    CandidateSource,
    Filter,
    Newcomers,
    Ranker,
    Selector,
)
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

    filters, adjusters: behind the placement's own. ahead: filters before the placement's own, which
    then tell what they take away of what these left. around: the selector that takes the place of
    the placement's, given that. arranger: has the last word on the lists. unknown: ids that the
    request names and that nothing is known of.
    """

    filters: tuple[NamedFilter, ...] = ()
    ahead: tuple[NamedFilter, ...] = ()
    unknown: tuple[ItemId, ...] = ()
    adjusters: tuple[Adjuster, ...] = ()
    around: Callable[[Selector], Selector] = _as_it_is
    arranger: Arranger | None = None


NOTHING_MORE = Additions()


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One placement, compiled against one bundle.

    size: how many items a query gets that does not say.
    newcomers: lets new items into the lists that are made.
    adjusters: change the ranker's scores, in their order.
    min_relevance: share of the best score that candidates reach, or leave.
    exploration: draws candidates from below the cut into the lists that are made.
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
    min_relevance: float = 0.0
    exploration: Exploration | None = None

    def run(self, contexts: Contexts) -> Candidates:
        """Return each query's list, best first; `signals` say what each source made of an item."""
        eligible = self.eligible(contexts)
        return self._chosen(contexts, eligible, self.retrieve(contexts, eligible)).listed

    def fill(self, contexts: Contexts, taken: Ragged, more: Additions = NOTHING_MORE) -> Filled:
        """Return the lists that `run` gives, and why they are as long as they are.

        taken: rows in earlier lists of each query's page.
        """
        contexts = contexts.relating_to(self.relates_to)
        narrowed = self._narrowed_with(more, contexts)
        free = narrowed.eligible.without(taken)
        merged = self._merged(contexts, narrowed.eligible, taken, more.arranger)
        filled = Filled(
            self._chosen(contexts, free, merged, more),
            contexts.limits(self.size),
            narrowed.left,
            narrowed.eligible.counts_of(taken),
            narrowed.removed,
        )
        if more.arranger is None:
            return filled
        ranked = self.ranked(contexts, merged, more)
        return filled.arranged(more.arranger.arrange(contexts, free, filled.listed, ranked))

    def _narrowed_with(self, more: Additions, contexts: Contexts) -> Narrowed:
        """Return what all filters leave; placements with the same filters share what theirs do."""
        if more.ahead:
            narrowed = self._narrowed(contexts, more.ahead)
        else:
            what = f"narrowed {contexts.apart}"
            narrowed = contexts.once(self.filters, what, lambda: self._narrowed(contexts))
        for named in more.filters:
            narrowed = narrowed.by(named.name, named.filter, contexts)
        return narrowed

    def _narrowed(self, contexts: Contexts, ahead: tuple[NamedFilter, ...] = ()) -> Narrowed:
        """Return what the filters leave of what those ahead of them do."""
        narrowed = Narrowed.of(Eligibility(contexts.shelf.products, contexts.excluded))
        for named in (*ahead, *self.filters):
            narrowed = narrowed.by(named.name, named.filter, contexts)
        return narrowed

    def _merged(
        self, contexts: Contexts, eligible: Eligibility, taken: Ragged, arranger: Arranger | None
    ) -> Candidates:
        """Return what all sources find that is not taken, and what an arranger misses of it."""
        gone = np.sort(keys_of(taken.owners(), taken.rows))
        depths = self._depths(contexts)
        asked = [named.source for named in self.sources], depths
        n_taken = int(taken.lengths().max(initial=0))
        made = shortlists(contexts, eligible, asked, n_taken=n_taken)
        if arranger is None:
            what = f"pool of {[id(one) for one in made]}"
            pool = contexts.once(self.sources, what, lambda: Pool.of([one.found for one in made]))
            return pool.merged(gone, depths)
        pairs = zip(made, depths, strict=True)
        found = [one.without(gone, k, len(contexts)) for one, k in pairs]
        free = eligible.without(taken)
        return Candidates.merged(self._with_missing(contexts, free, found, arranger))

    def _depths(self, contexts: Contexts) -> list[int]:
        """Return how many candidates of each source count."""
        longest = int(contexts.limits(self.size).max(initial=0))
        return [max(named.k, longest) for named in self.sources]

    def _with_missing(
        self, contexts: Contexts, free: Eligibility, found: list[Candidates], arranger: Arranger
    ) -> list[Candidates]:
        """Return what each source found, and what it finds of the items that are missing."""
        for missing in arranger.missing(contexts, Candidates.merged(found)):
            k = int(missing.wanted.max(initial=0))
            if not k:
                continue
            within = free.within(missing.mask)
            for place, named in enumerate(self.sources):
                more = named.source.retrieve(contexts, within, k).first(missing.wanted)
                found[place] = found[place].followed_by(more)
        return found

    def eligible(self, contexts: Contexts) -> Eligibility:
        """Return what each query may show: not what it excludes itself, and what filters leave."""
        eligible = Eligibility(contexts.shelf.products, contexts.excluded)
        for named in self.filters:
            eligible = named.filter.narrow(contexts, eligible)
        return eligible

    def _chosen(
        self,
        contexts: Contexts,
        eligible: Eligibility,
        merged: Candidates,
        more: Additions = NOTHING_MORE,
    ) -> Choice:
        """Return the lists made of the candidates of all sources."""
        limits, n_queries = contexts.limits(self.size), len(contexts)
        relevant = self._relevant(contexts, merged)
        ranked = self._adjusted(contexts, relevant, more)
        selected = more.around(self.selector).select(contexts, ranked.ordered(), limits)
        kept = np.ones(n_queries, dtype=np.float32)
        if self._weighs_more(contexts, more) or ranked.scores is not relevant.scores:
            plain = self._plain.select(contexts, relevant.ordered(), limits)
            kept = relevance_kept(relevant, selected, plain, n_queries)
        irrelevant = lost(merged.queries, relevant.queries, n_queries)
        listed = self._introduced(contexts, eligible, selected)
        if self.exploration is None:
            return Choice.certain(listed, irrelevant, kept)
        explored = self.exploration.explore(contexts, ranked.ordered(), listed)
        return Choice(explored.listed, explored.propensities, irrelevant, kept)

    @property
    def _plain(self) -> Selector:
        """The selector that looks at relevance and numbers alone."""
        return self.selector.plain if isinstance(self.selector, Diverse) else self.selector

    def _weighs_more(self, contexts: Contexts, more: Additions) -> bool:
        """Return whether lists are selected for more than relevance and numbers."""
        diverse = isinstance(self.selector, Diverse) and bool(self.selector.shares(contexts).any())
        return diverse or more.around is not NOTHING_MORE.around

    def ranked(
        self, contexts: Contexts, merged: Candidates, more: Additions = NOTHING_MORE
    ) -> Candidates:
        """Return the candidates of all sources under their scores, best first.

        Those that are not relevant enough are not among them.
        """
        return self._adjusted(contexts, self._relevant(contexts, merged), more).ordered()

    def _relevant(self, contexts: Contexts, merged: Candidates) -> Candidates:
        """Return the candidates that are relevant enough, under the ranker's scores."""
        scored = merged.scored(self.ranker.score(contexts, merged))
        enough = relevant_enough(contexts, scored, self.min_relevance)
        return scored if enough.all() else scored.take(enough)

    def _adjusted(self, contexts: Contexts, relevant: Candidates, more: Additions) -> Candidates:
        """Return the candidates under the scores that all adjusters give them."""
        for adjuster in (*self.adjusters, *more.adjusters):
            relevant = relevant.scored(adjuster.adjust(contexts, relevant))
        return relevant

    def retrieve(self, contexts: Contexts, eligible: Eligibility) -> Candidates:
        """Return the candidates of every source, merged."""
        depths = zip(self.sources, self._depths(contexts), strict=True)
        found = [named.source.retrieve(contexts, eligible, k) for named, k in depths]
        return Candidates.merged(found)

    def finished(
        self, contexts: Contexts, eligible: Eligibility, ranked: Candidates, limits: Rows
    ) -> Candidates:
        """Return the lists made of ranked candidates, at most `limits` (q,) long."""
        return self._introduced(contexts, eligible, self.selector.select(contexts, ranked, limits))

    def _introduced(
        self, contexts: Contexts, eligible: Eligibility, selected: Candidates
    ) -> Candidates:
        """Return the lists with newcomers among them, where there are any."""
        if self.newcomers is None:
            return selected
        return self.newcomers.introduce(contexts, eligible, selected)

    def contributions(self, listed: Candidates) -> Scores:
        """Return the (n, n_names) part of each source in the scores of lists that are finished."""
        n_ranked = len(self.sources)
        if listed.signals.shape[1] == n_ranked:
            return self.ranker.contributions(listed)
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
