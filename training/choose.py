"""What adapts to a shop, chosen on its validation window by a small grid."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from recsys.assortment import Assortment
from recsys.context import Contexts
from recsys.eligibility import Eligibility
from recsys.evaluation.metrics import hits, ndcg
from recsys.evaluation.replay import Cases, cases_of, contexts_of, joined
from recsys.evaluation.splits import Split
from recsys.index.faiss_index import FaissIndex
from recsys.models.factors import FactorModel
from recsys.pipeline.filters import NotPurchased
from recsys.pipeline.placement import Situation
from recsys.pipeline.sources import BuyAgain, Nearest, Popular
from recsys.pipeline.stages import CandidateSource
from training.fit.interests import Customers
from training.fit.popularity import fit_popularity
from training.fit.repurchase import fit_repeat_rates
from training.learn import Recipe, fit_factors, interest_of, repurchase_of
from training.settings import TrainingSettings

MOST_CASES = 2_500
"""Customers a grid is measured on at most."""
DEPTH = 10

Build = Callable[[Recipe], CandidateSource]


def choose_recipe(
    split: Split, customers: Customers, assortment: Assortment, settings: TrainingSettings
) -> tuple[Recipe, FactorModel]:
    """Return the recipe whose models, each alone, foresee the window best, and its factors.

    customers: as `split.past` leaves them. Popularity and repurchase are judged by all that is
    bought, the factors by what is bought for the first time.
    """
    recipe = Recipe.first_of(settings)
    visits = _Bench.of(Situation.VISIT, split, assortment, settings)
    discoveries = _Bench.of(Situation.DISCOVERY, split, assortment, settings)
    recipe = _popularity(recipe, visits, split, settings)
    recipe, factors = _factors(recipe, discoveries, customers, settings)
    return _repurchase(recipe, visits, split, settings), factors


def _popularity(recipe: Recipe, bench: _Bench, split: Split, settings: TrainingSettings) -> Recipe:
    tried = [
        replace(recipe, popularity_half_life_days=days)
        for days in settings.popularity.half_life_days
    ]
    kept = split.past.settled()

    def build(one: Recipe) -> CandidateSource:
        days = one.popularity_half_life_days
        return Popular(fit_popularity(kept, split.instant, half_life_days=days))

    return bench.best(tried, build)


def _factors(
    recipe: Recipe, bench: _Bench, customers: Customers, settings: TrainingSettings
) -> tuple[Recipe, FactorModel]:
    fitted: dict[Recipe, FactorModel] = {}

    def build(one: Recipe) -> CandidateSource:
        if one not in fitted:
            fitted[one] = fit_factors(customers, one, settings)
        return Nearest(fitted[one], FaissIndex.exactly(fitted[one].items, fitted[one].known))

    # One after the other, and no fit twice: a fit is what takes time.
    for name, values in (
        ("regularization", settings.factors.regularization),
        ("alpha", settings.factors.alpha),
        ("interest_half_life_days", settings.interest.half_life_days),
    ):
        recipe = bench.best([_with(recipe, name, value) for value in values], build, settings)
    return recipe, fitted.get(recipe) or fit_factors(customers, recipe, settings)


def _repurchase(recipe: Recipe, bench: _Bench, split: Split, settings: TrainingSettings) -> Recipe:
    kept = split.past.settled()
    rates = fit_repeat_rates(kept, prior_buyers=settings.repurchase.prior_buyers)

    def build(one: Recipe) -> CandidateSource:
        return BuyAgain(repurchase_of(rates, one))

    # One after the other: the two hardly depend on each other.
    for name, values in (
        ("repurchase_half_life_days", settings.repurchase.half_life_days),
        ("rate_exponent", settings.repurchase.rate_exponents),
    ):
        recipe = bench.best([_with(recipe, name, value) for value in values], build)
    return recipe


def _with(recipe: Recipe, name: str, value: float) -> Recipe:
    return Recipe(**{**recipe.numbers(), name: value})


@dataclass(frozen=True, slots=True)
class _Bench:
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
    ) -> Self:
        rng = np.random.default_rng(settings.seed)
        cases = cases_of("", situation, split, rng, most=MOST_CASES)
        interest = interest_of(settings, Recipe.first_of(settings))
        asked = contexts_of(
            cases, split.past, assortment=assortment, interest=interest, limit=DEPTH
        )
        new_only = situation is Situation.DISCOVERY
        batches = []
        for places, contexts in asked:
            eligible = Eligibility.everything(len(assortment.vocabulary), len(contexts))
            if new_only:
                eligible = NotPurchased(np.inf).narrow(contexts, eligible)
            batches.append((places, contexts, eligible))
        return cls(cases, tuple(batches))

    def best(
        self, tried: Iterable[Recipe], build: Build, settings: TrainingSettings | None = None
    ) -> Recipe:
        """Return the recipe whose source foresees most; the first of equals, and a sole one.

        settings: given where the source asks for interests, which depend on the recipe.
        """
        recipes = list(tried)
        if len(recipes) == 1 or not len(self.cases):
            return recipes[0]
        return max(recipes, key=lambda one: self._ndcg(build(one), one, settings))

    def _ndcg(
        self, source: CandidateSource, recipe: Recipe, settings: TrainingSettings | None
    ) -> float:
        found = []
        for places, contexts, eligible in self.batches:
            asking = _interested(contexts, recipe, settings) if settings else contexts
            found.append((places, source.retrieve(asking, eligible, DEPTH)))
        table = hits(joined(found), self.cases.targets, DEPTH)
        return float(ndcg(table, np.diff(self.cases.targets.offsets)).mean())


def _interested(contexts: Contexts, recipe: Recipe, settings: TrainingSettings) -> Contexts:
    interest = interest_of(settings, recipe)
    return replace(
        contexts,
        interests=interest.of(
            contexts.history, contexts.purchases, contexts.opinions, contexts.now
        ),
    )
