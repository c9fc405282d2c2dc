"""A rehearsal: choose on validation, fit on what came before the test window, replay it once."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from recsys.assortment import Assortment
from recsys.bundle import ModelBundle
from recsys.catalog import Catalog
from recsys.evaluation.replay import cases_for
from recsys.evaluation.splits import Split, last_windows
from recsys.interactions import Interactions
from recsys.models.blend import Blend
from recsys.models.described import path_of
from recsys.pipeline.placement import PlacementConfig, Situation
from training.choose import choose_recipe
from training.cold import ColdTrial, choose_content
from training.datasets.lake import Dataset
from training.evaluate import THREADS, Trial, discoveries, evaluate, replay
from training.fit.blend import fit_blend
from training.fit.interests import Customers
from training.learn import Models, als_of, fit_models, interest_of
from training.measures import Evaluation
from training.recipe import Recipe
from training.settings import TrainingSettings

Placements = Mapping[str, PlacementConfig]


class StepListener(Protocol):
    """Hears of the steps of a run."""

    def step(self, name: str) -> AbstractContextManager[None]:
        """Return a context in which the named step runs."""

    def tell(self, words: str) -> None:
        """Hear what was found."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a recipe is worth on a past that ends before the test window."""

    recipe: Recipe
    blends: Mapping[str, Blend]
    evaluation: Evaluation
    cold: ColdTrial

    def metrics(self) -> dict[str, float]:
        """Return the main measures by name."""
        return {**self.evaluation.report.metrics(), **self.cold.metrics()}


@dataclass(frozen=True, slots=True)
class Prepared:
    """A recipe and blends that validation chose, and what is to be tested of them.

    trials: of each test window, a bundle that learned from what came before it.
    """

    recipe: Recipe
    blends: Mapping[str, Blend]
    trials: tuple[Trial, ...]
    cold: ColdTrial


def rehearse(
    dataset: Dataset, placements: Placements, settings: TrainingSettings, progress: StepListener
) -> Rehearsal:
    """Return the recipe and blends that validation chose, and how they do on the test window."""
    ready = prepare(dataset, placements, settings, progress)
    with progress.step("replay the placements over the test windows"):
        scores = evaluate(
            ready.trials, placements, seed=settings.seed, most_cases=settings.most_cases
        )
    return Rehearsal(ready.recipe, ready.blends, scores, ready.cold)


def prepare(
    dataset: Dataset, placements: Placements, settings: TrainingSettings, progress: StepListener
) -> Prepared:
    """Return the recipe and blends that validation chose, with bundles for the test windows."""
    validation, *tests = windows_of(dataset.interactions, settings)
    assortment, descriptions = Assortment.of(dataset.catalog), dataset.descriptions
    with progress.step("choose the recipe on the validation window"):
        customers = Customers.at(validation.instant, validation.past, assortment)
        recipe, factors = choose_recipe(validation, customers, assortment, settings)
    with progress.step("foresee items that nobody has met"):
        cold = _cold(dataset, customers, recipe, settings)
        recipe = recipe.with_content(cold.config)
    with progress.step("weigh the sources of each placement"):
        models = fit_models(validation.past, customers, recipe, settings, factors=factors)
        models = models.foreseeing(descriptions, cold.config)
        blends = fit_blends(models, validation, dataset.catalog, placements, settings)
    trials = []
    with progress.step("learn again, up to each test window"):
        for test in tests:
            customers = Customers.at(test.instant, test.past, assortment)
            models = fit_models(test.past, customers, recipe, settings)
            models = models.foreseeing(descriptions, cold.config)
            trials.append((models.bundle(dataset.catalog, blends), test))
    return Prepared(recipe, blends, tuple(trials), cold)


def _cold(
    dataset: Dataset, customers: Customers, recipe: Recipe, settings: TrainingSettings
) -> ColdTrial:
    """Return the content model that finds hidden items best for these customers."""
    catalog = dataset.catalog
    names = [path_of(catalog.category_names[place]) for place in range(len(catalog.category_names))]
    return choose_content(
        dataset.descriptions,
        [names[place] for place in catalog.categories.tolist()],
        customers.interests(interest_of(settings, recipe)),
        als=als_of(settings, recipe),
        grid=settings.content,
        rng=np.random.default_rng(settings.seed),
    )


def windows_of(interactions: Interactions, settings: TrainingSettings) -> tuple[Split, ...]:
    """Return the validation split and, behind it, the test splits.

    Two test windows where the history is long enough, since one alone is one season (rolling
    origins, Tashman 2000), else one.
    """
    days = float((interactions.times[-1] - interactions.times[0]) / np.timedelta64(1, "D"))
    long_enough = days >= 3 * settings.window_days + settings.history_days
    return last_windows(interactions, settings.window_days, 3 if long_enough else 2)


def fit_blends(
    models: Models,
    split: Split,
    catalog: Catalog,
    placements: Placements,
    settings: TrainingSettings,
) -> dict[str, Blend]:
    """Return the weights of each placement's sources that foresee the split's window best."""
    bundle = models.bundle(catalog, {})
    with ThreadPoolExecutor(THREADS) as pool:
        found = pool.map(
            lambda name: _blend(bundle, split, name, placements[name], settings), placements
        )
        return dict(zip(placements, found, strict=True))


def _blend(
    bundle: ModelBundle,
    split: Split,
    name: str,
    config: PlacementConfig,
    settings: TrainingSettings,
) -> Blend:
    nothing_to_weigh = len(config.sources) == 1 or config.ranker.like
    if nothing_to_weigh:
        return Blend({})
    rng = np.random.default_rng(settings.seed)
    cases = cases_for(name, config, split, rng, most=settings.most_cases)
    if cases is None:
        return Blend({})
    replayed = replay(bundle, split, config, cases)
    lists = [(replayed.candidates(), cases.targets)]
    if config.situation is Situation.VISIT:
        lists.append(discoveries(replayed, split))
    return fit_blend(
        lists,
        replayed.pipeline.proposing,
        bundle.popularity.trends,
        exponents=settings.trend.exponents,
    )
