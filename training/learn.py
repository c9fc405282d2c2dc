"""One recipe, learned from some interactions: the models of a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from recsys.arrays import Scores, frozen
from recsys.bundle import ModelBundle
from recsys.catalog import Catalog
from recsys.index.faiss_index import FaissIndex
from recsys.interactions import Interactions
from recsys.interest import Interest
from recsys.manifest import Manifest
from recsys.models.blend import Blend
from recsys.models.content import ContentModel
from recsys.models.described import Descriptions
from recsys.models.factors import FactorModel
from recsys.models.popularity import PopularityModel
from recsys.models.relations import Relations
from recsys.models.repurchase import RepurchaseModel
from training.fit.als import AlsConfig, fit_als
from training.fit.content import ContentConfig, fit_content
from training.fit.interests import Customers
from training.fit.popularity import fit_popularity, fit_trend
from training.fit.repurchase import fit_repeat_rates
from training.recipe import Recipe
from training.relate import fit_relations
from training.settings import TrainingSettings


@dataclass(frozen=True, slots=True)
class Models:
    """All that one recipe learned from some interactions."""

    interest: Interest
    factors: FactorModel
    relations: Relations
    repurchase: RepurchaseModel
    popularity: PopularityModel
    content: ContentModel | None = None

    def foreseeing(self, descriptions: Descriptions, config: ContentConfig) -> Models:
        """Return these models with one of content, by which items nobody has met get vectors.

        descriptions: (n_items,) of every item; where they tell nothing, nothing changes.
        """
        content = fit_content(descriptions, self.factors, config)
        if content is None:
            return self
        factors = self.factors.with_foreseen(content.of(descriptions))
        return replace(self, factors=factors, content=content)

    def bundle(
        self,
        catalog: Catalog,
        blends: Mapping[str, Blend],
        *,
        index: FaissIndex | None = None,
        manifest: Manifest | None = None,
    ) -> ModelBundle:
        """Return these models as a bundle; for replay alone, with an exact index and no name."""
        return ModelBundle(
            manifest=manifest or unnamed(),
            catalog=catalog,
            interest=self.interest,
            factors=self.factors,
            index=index or FaissIndex.exactly(self.factors.items, self.factors.known),
            relations=self.relations,
            repurchase=self.repurchase,
            popularity=self.popularity,
            blends=blends,
            content=self.content,
        )


def fit_models(
    interactions: Interactions,
    customers: Customers,
    recipe: Recipe,
    settings: TrainingSettings,
    *,
    factors: FactorModel | None = None,
) -> Models:
    """Return what the recipe learns from the interactions before `customers.instant`.

    What counts purchases counts those that were kept. customers: as those interactions leave
    them. factors: where the recipe's are fitted already.
    """
    now, kept = customers.instant, interactions.settled()
    interest = interest_of(settings, recipe)
    factors = factors or fit_factors(customers, recipe, settings)
    trend = fit_trend(
        kept,
        now,
        recent_days=settings.trend.recent_days,
        long_days=settings.trend.long_days,
    )
    rates = fit_repeat_rates(kept, prior_buyers=settings.repurchase.prior_buyers)
    return Models(
        interest,
        factors,
        fit_relations(kept, now, recipe, settings),
        repurchase_of(rates, recipe),
        fit_popularity(kept, now, half_life_days=recipe.popularity_half_life_days, trends=trend),
    )


def interest_of(settings: TrainingSettings, recipe: Recipe) -> Interest:
    """Return how events add up under a recipe."""
    return Interest.of_types(settings.interest.weights, recipe.interest_half_life_days)


def fit_factors(customers: Customers, recipe: Recipe, settings: TrainingSettings) -> FactorModel:
    """Return the factors of these customers' interests."""
    interests = customers.interests(interest_of(settings, recipe))
    rng = np.random.default_rng(settings.seed)
    return fit_als(interests, customers.n_items, als_of(settings, recipe), rng)


def als_of(settings: TrainingSettings, recipe: Recipe) -> AlsConfig:
    """Return how factors are fitted under a recipe."""
    return AlsConfig(
        settings.factors.dim,
        settings.factors.iterations,
        recipe.regularization,
        recipe.alpha,
        settings.threads,
    )


def repurchase_of(rates: Scores, recipe: Recipe) -> RepurchaseModel:
    """Return the repurchase model in which repeat rates count as the recipe says."""
    lifted: Scores = rates ** np.float32(recipe.rate_exponent)
    return RepurchaseModel(frozen(lifted), recipe.repurchase_half_life_days)


def unnamed() -> Manifest:
    """Return the manifest of a bundle that is not for release."""
    return Manifest("", "", 0, {}, {}, "flat", {}, "", {}, {}, {})
