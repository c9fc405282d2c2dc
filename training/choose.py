"""What adapts to a shop, chosen on its validation window by a small grid."""

from __future__ import annotations

from dataclasses import replace

from recsys.assortment import Assortment
from recsys.evaluation.splits import Split
from recsys.index.faiss_index import FaissIndex
from recsys.models.factors import FactorModel
from recsys.pipeline.placement import Situation
from recsys.pipeline.sources import BuyAgain, Nearest, Popular
from recsys.pipeline.stages import CandidateSource
from training.bench import Bench
from training.choose_relations import choose_relations
from training.fit.interests import Customers
from training.fit.popularity import fit_popularity
from training.fit.repurchase import fit_repeat_rates
from training.learn import fit_factors, repurchase_of
from training.recipe import Recipe
from training.settings import TrainingSettings


def choose_recipe(
    split: Split, customers: Customers, assortment: Assortment, settings: TrainingSettings
) -> tuple[Recipe, FactorModel]:
    """Return the recipe whose models, each alone, foresee the window best, and its factors.

    customers: as `split.past` leaves them. Popularity and repurchase are judged by all that is
    bought, the factors by what is bought for the first time; how items go with each other by what
    else is in the basket and what comes next in a session.
    """
    recipe = Recipe.first_of(settings)
    visits = Bench.of(Situation.VISIT, split, assortment, settings)
    discoveries = Bench.of(Situation.DISCOVERY, split, assortment, settings)
    recipe = _popularity(recipe, visits, split, settings)
    recipe, factors = _factors(recipe, discoveries, customers, settings)
    recipe = _repurchase(recipe, visits, split, settings)
    return choose_relations(recipe, split, assortment, settings), factors


def _popularity(recipe: Recipe, bench: Bench, split: Split, settings: TrainingSettings) -> Recipe:
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
    recipe: Recipe, bench: Bench, customers: Customers, settings: TrainingSettings
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
        recipe = bench.best([recipe.with_value(name, value) for value in values], build, settings)
    return recipe, fitted.get(recipe) or fit_factors(customers, recipe, settings)


def _repurchase(recipe: Recipe, bench: Bench, split: Split, settings: TrainingSettings) -> Recipe:
    kept = split.past.settled()
    rates = fit_repeat_rates(kept, prior_buyers=settings.repurchase.prior_buyers)

    def build(one: Recipe) -> CandidateSource:
        return BuyAgain(repurchase_of(rates, one))

    # One after the other: the two hardly depend on each other.
    for name, values in (
        ("repurchase_half_life_days", settings.repurchase.half_life_days),
        ("rate_exponent", settings.repurchase.rate_exponents),
    ):
        recipe = bench.best([recipe.with_value(name, value) for value in values], build)
    return recipe
