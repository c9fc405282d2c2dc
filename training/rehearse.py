"""A rehearsal: choose on validation, fit on what came before the test window, replay it once."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from recsys.bundle import ModelBundle
from recsys.catalog import Catalog
from recsys.evaluation.replay import cases_of
from recsys.evaluation.splits import Split, last_windows
from recsys.interactions import Interactions
from recsys.models.blend import Blend
from recsys.pipeline.placement import PlacementConfig, Situation
from training.choose import choose_recipe
from training.evaluate import THREADS, discoveries, evaluate, replay
from training.fit.blend import fit_blend
from training.fit.interests import Customers
from training.learn import Models, Recipe, fit_models
from training.measures import Evaluation
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


def rehearse(
    interactions: Interactions,
    catalog: Catalog,
    placements: Placements,
    settings: TrainingSettings,
    progress: StepListener,
) -> Rehearsal:
    """Return the recipe and blends that validation chose, and how they do on the test window."""
    validation, *tests = windows_of(interactions, settings)
    with progress.step("choose the recipe on the validation window"):
        customers = Customers.at(validation.instant, validation.past, catalog.vocabulary)
        recipe, factors = choose_recipe(validation, customers, catalog.vocabulary, settings)
    with progress.step("weigh the sources of each placement"):
        models = fit_models(validation.past, customers, recipe, settings, factors=factors)
        blends = fit_blends(models, validation, catalog, placements, settings)
    trials = []
    with progress.step("learn again, up to each test window"):
        for test in tests:
            customers = Customers.at(test.instant, test.past, catalog.vocabulary)
            models = fit_models(test.past, customers, recipe, settings)
            trials.append((models.bundle(catalog, blends), test))
    with progress.step("replay the placements over the test windows"):
        evaluation = evaluate(
            trials, placements, seed=settings.seed, most_cases=settings.most_cases
        )
    return Rehearsal(recipe, blends, evaluation)


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
    rng = np.random.default_rng(settings.seed)
    cases = cases_of(name, config.situation, split, rng, most=settings.most_cases)
    if not len(cases):
        return Blend({})
    replayed = replay(bundle, split, config, cases)
    lists = [(replayed.candidates(), cases.targets)]
    if config.situation is Situation.VISIT:
        lists.append(discoveries(replayed, split))
    return fit_blend(
        lists,
        replayed.pipeline.source_names,
        bundle.popularity.trends,
        exponents=settings.trend.exponents,
    )
