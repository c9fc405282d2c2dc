"""How far one item comes on its way to one list, through the stages that make the list."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from recsys.arrays import Rows
from recsys.candidates import Candidates
from recsys.context import Contexts
from recsys.eligibility import Eligibility
from recsys.pipeline.pages import Part, Placements, composed
from recsys.pipeline.pipeline import Additions, NamedSource, Pipeline
from recsys.query import Page
from recsys.shares import contributions_of, shares_of_sources
from recsys.why.explanation import Proposal, Ranking, Refusal
from recsys.why.refusals import refusals

DEEPER = 8
"""How many times deeper a source is asked that did not find the item, until there is no more."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What the stages of a placement make of one row, for the one query of the contexts.

    refused: by which filters. allowed: whether none of them refuses it, nor the request.
    eligible: what may be shown beside it.
    proposed: whether a source proposes it, which need not be enough to be ranked.
    ranked: all that was ranked, best first; selected: what the selector took of it.
    parts: the list as it is made, its own part first, then what fills it up.
    """

    pipeline: Pipeline
    contexts: Contexts
    row: int
    refused: tuple[Refusal, ...]
    allowed: bool
    eligible: Eligibility
    proposed: bool
    ranked: Candidates
    selected: Candidates
    parts: tuple[Part, ...]

    @property
    def limit(self) -> int:
        """How many items the list is to have."""
        return int(self.contexts.limits(self.pipeline.size)[0])

    @property
    def excluded(self) -> bool:
        """Whether the request itself rules the item out."""
        return self.row in self.contexts.excluded.at(0)

    def position(self) -> int:
        """Return the item's place in the list, from 1; 0 where it is not in it."""
        every = np.concatenate([part.filled.listed.rows for part in self.parts])
        places = np.flatnonzero(every == self.row)
        return int(places[0]) + 1 if len(places) else 0

    def part(self) -> Part | None:
        """Return the part of the list that has the item; None where none has."""
        return next((one for one in self.parts if self.row in one.filled.listed.rows), None)

    def rules(self) -> tuple[str, ...]:
        """Return the names of the rules that touched the item in the list."""
        part = self.part()
        if part is None or not part.filled.rules:
            return ()
        return part.filled.rules[int(np.flatnonzero(part.filled.listed.rows == self.row)[0])]

    def ranking(self) -> Ranking | None:
        """Return what became of the item in ranking; None where it was not ranked."""
        places = np.flatnonzero(self.ranked.rows == self.row)
        if not len(places):
            return None
        own = self.ranked.take(places)
        shares = shares_of_sources(replace(self.pipeline, newcomers=None), own)
        return Ranking(
            int(places[0]) + 1,
            len(self.ranked),
            float(own.scores[0]),
            next(contributions_of(shares, [self.pipeline.proposing])),
        )

    def passed_over(self, rank: int) -> bool:
        """Return whether the selector could have taken the item of a rank, and took others."""
        if self.row in self.selected.rows:
            return False
        worse = self.ranked.rows[rank:]
        return rank <= self.limit or bool(np.isin(worse, self.selected.rows).any())

    def selected_in(self, categories: Rows) -> int:
        """Return how many items of the item's category were selected; 0 where it has none."""
        if not categories[self.row]:
            return 0
        return int(np.count_nonzero(categories[self.selected.rows] == categories[self.row]))

    def proposals(self) -> tuple[Proposal, ...]:
        """Return what each source makes of the item; nothing where it may not be shown.

        A source is asked as deep as it takes to find the item, which is slow for who finds it late.
        """
        if not self.allowed:
            return ()
        return tuple(self._proposal(named) for named in self.pipeline.sources)

    def _proposal(self, named: NamedSource) -> Proposal:
        depth = k = max(named.k, self.limit)
        while True:
            found = named.source.retrieve(self.contexts, self.eligible, k)
            places = np.flatnonzero(found.rows == self.row)
            if len(places):
                rank, score = int(places[0]) + 1, float(found.scores[places[0]])
                return Proposal(named.name, rank, depth, k == depth, score)
            if len(found) < k or k >= len(self.eligible.shared):
                return Proposal(named.name, 0, depth, proposed=False, score=0.0)
            k = min(k * DEEPER, len(self.eligible.shared))


def traced(placements: Placements, page: Page, contexts: Contexts, row: int) -> Trace:
    """Return how far a row comes in a page of one list.

    contexts: of the page's asker. row: of a product, as it stands for its variants.
    """
    parts = tuple(composed([page], contexts, placements))
    pipeline, more = parts[0].pipeline, parts[0].more
    own = parts[0].contexts.relating_to(pipeline.relates_to)
    filters = (*more.ahead, *pipeline.filters, *more.filters)
    eligible = replace(pipeline, filters=filters).eligible(own)
    merged = pipeline.retrieve(own, eligible)
    ranked = pipeline.ranked(own, merged, more)
    return Trace(
        pipeline,
        own,
        row,
        tuple(refusals(filters, own, row)),
        bool(eligible.of_query(0)[row]),
        eligible,
        row in merged.rows,
        ranked,
        _selected(pipeline, own, ranked, more),
        parts,
    )


def _selected(
    pipeline: Pipeline, contexts: Contexts, ranked: Candidates, more: Additions
) -> Candidates:
    selector = more.around(pipeline.selector)
    return selector.select(contexts, ranked, contexts.limits(pipeline.size))
