"""A bench: questions of one situation, on which recipes are compared by one of their sources."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from recsys.assortment import Assortment
from recsys.context import Contexts
from recsys.eligibility import Eligibility
from recsys.evaluation.metrics import Values, hits, ndcg
from recsys.evaluation.replay import Cases, cases_of, contexts_of, joined
from recsys.evaluation.splits import Split
from recsys.pipeline.filters import NotPurchased, NotSeeds
from recsys.pipeline.placement import Situation
from recsys.pipeline.stages import CandidateSource, Filter
from training.learn import interest_of
from training.recipe import Recipe
from training.settings import TrainingSettings

MOST_CASES = 2_500
"""Cases a grid is measured on at most."""
DEPTH = 10

Build = Callable[[Recipe], CandidateSource]

_NARROWING: dict[Situation, Filter] = {
    Situation.DISCOVERY: NotPurchased(np.inf),
    Situation.BASKET: NotSeeds(),
    Situation.SESSION: NotSeeds(),
}


@dataclass(frozen=True, slots=True)
class Bench:
    """Questions of one situation, and what may answer them."""

    cases: Cases
    batches: tuple[tuple[range, Contexts, Eligibility], ...]

    @classmethod
    def of(
        cls,
        situation: Situation,
        split: Split,
        assortment: Assortment,
        settings: TrainingSettings,
        *,
        most: int = MOST_CASES,
    ) -> Self:
        """Return the cases of a window as one kind of moment finds them; at most so many."""
        rng = np.random.default_rng(settings.seed)
        cases = cases_of("", situation, split, rng, most=most)
        interest = interest_of(settings, Recipe.first_of(settings))
        asked = contexts_of(
            cases, split.known, assortment=assortment, interest=interest, limit=DEPTH
        )
        batches = []
        for places, contexts in asked:
            eligible = Eligibility.everything(len(assortment.vocabulary), len(contexts))
            narrowing = _NARROWING.get(situation)
            if narrowing:
                eligible = narrowing.narrow(contexts, eligible)
            batches.append((places, contexts, eligible))
        return cls(cases, tuple(batches))

    def best(
        self,
        tried: Iterable[Recipe],
        build: Build,
        settings: TrainingSettings | None = None,
    ) -> Recipe:
        """Return the recipe whose source foresees most; the first of equals, and a sole one.

        settings: given where the source asks for interests, which depend on the recipe.
        """
        recipes = list(tried)
        if len(recipes) == 1 or not len(self.cases):
            return recipes[0]
        return max(recipes, key=lambda one: self.ndcg(build(one), one, settings))

    def ndcg(
        self, source: CandidateSource, recipe: Recipe, settings: TrainingSettings | None = None
    ) -> float:
        """Return the mean NDCG at `DEPTH` of what a source proposes; settings: as in `best`."""
        return float(self.gains(source, recipe, settings).mean())

    def gains(
        self, source: CandidateSource, recipe: Recipe, settings: TrainingSettings | None = None
    ) -> Values:
        """Return the NDCG at `DEPTH` of each case; settings: as in `best`."""
        found = []
        for places, contexts, eligible in self.batches:
            asking = _interested(contexts, recipe, settings) if settings else contexts
            found.append((places, source.retrieve(asking, eligible, DEPTH)))
        table = hits(joined(found), self.cases.targets, DEPTH)
        return ndcg(table, np.diff(self.cases.targets.offsets))


def _interested(contexts: Contexts, recipe: Recipe, settings: TrainingSettings) -> Contexts:
    interest = interest_of(settings, recipe)
    return replace(
        contexts,
        interests=interest.of(
            contexts.history, contexts.purchases, contexts.opinions, contexts.now
        ),
    )
