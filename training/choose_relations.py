"""How items go with each other: what adapts to a shop, chosen on its validation window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from recsys.assortment import Assortment
from recsys.evaluation.metrics import Values
from recsys.evaluation.splits import Split
from recsys.pipeline.placement import Situation
from recsys.pipeline.related_sources import GoesWith, LikeSessions
from recsys.pipeline.stages import CandidateSource
from training.bench import Bench, Build
from training.recipe import Recipe
from training.relate import (
    alternatives_of,
    sessions_of,
    together_of,
    viewed_of,
    without_alternatives,
)
from training.settings import TrainingSettings

MOST_CASES = 1_000
"""Sessions, and baskets, that a grid is measured on at most."""
LEAST_GAIN = 0.01
"""Share of its NDCG that each value of a grid has to gain on the one before it, which costs less or
is what is usual; and it has to be more than its standard error. Behind one that does not, none is
tried."""

Grids = Sequence[tuple[str, Sequence[float]]]


def choose_relations(
    recipe: Recipe, split: Split, assortment: Assortment, settings: TrainingSettings
) -> Recipe:
    """Return the recipe whose relations foresee the window best, each model by itself.

    What is bought together is judged by what else is in a basket of which half is given; what is
    looked at together, and sessions, by what comes next in a session. One value after the other.
    """
    around = Bench.of(Situation.SESSION, split, assortment, settings, most=MOST_CASES)
    recipe = _viewed(recipe, around, split, settings)
    recipe = _sessions(recipe, around, split, settings)
    baskets = Bench.of(Situation.BASKET, split, assortment, settings, most=MOST_CASES)
    return _together(recipe, baskets, split, settings)


def _together(recipe: Recipe, bench: Bench, split: Split, settings: TrainingSettings) -> Recipe:
    kept, own = split.past.settled(), settings.together
    looked_at = replace(recipe, together_alternatives=max(own.alternatives))
    alternatives = alternatives_of(kept, looked_at, settings)

    def build(one: Recipe) -> CandidateSource:
        together = together_of(kept, split.instant, one, settings)
        return GoesWith(without_alternatives(together, alternatives, one, settings))

    grids = (
        ("together_smoothing", own.smoothing),
        ("together_exponent", own.exponents),
        ("together_half_life_days", own.half_life_days),
        ("together_soon", own.soon),
        (
            "together_alternatives",
            own.alternatives if len(alternatives.rows) else own.alternatives[:1],
        ),
    )
    return _one_by_one(recipe, bench, grids, build)


def _viewed(recipe: Recipe, bench: Bench, split: Split, settings: TrainingSettings) -> Recipe:
    kept = split.past.settled()
    grids = (
        ("viewed_smoothing", settings.viewed.smoothing),
        ("viewed_exponent", settings.viewed.exponents),
    )
    return _one_by_one(recipe, bench, grids, lambda one: GoesWith(viewed_of(kept, one, settings)))


def _sessions(recipe: Recipe, bench: Bench, split: Split, settings: TrainingSettings) -> Recipe:
    kept = split.past.settled()
    grids = (
        ("session_decay", settings.sessions.decays),
        ("session_rarity", settings.sessions.rarities),
    )
    return _one_by_one(
        recipe, bench, grids, lambda one: LikeSessions(sessions_of(kept, one, settings))
    )


def _one_by_one(recipe: Recipe, bench: Bench, grids: Grids, build: Build) -> Recipe:
    """Return the recipe with the best value of each grid, chosen in their order."""
    worth = cache(lambda one: bench.gains(build(one), one))
    for name, values in grids if len(bench.cases) else ():
        recipe = _last_gaining([recipe.with_value(name, value) for value in values], worth)
    return recipe


def _last_gaining(path: Sequence[Recipe], worth: Callable[[Recipe], Values]) -> Recipe:
    """Return the last recipe of a path up to which each gains on the one before it."""
    chosen = path[0]
    for one in path[1:]:
        if not _gains(worth(one), worth(chosen)):
            break
        chosen = one
    return chosen


def _gains(values: Values, before: Values) -> bool:
    """Return whether the first are more, of the same cases, by `LEAST_GAIN` and a standard error.

    The rule of one standard error keeps few cases from choosing (Breiman et al. 1984, 3.4.3).
    """
    over = values - before
    error = float(over.std() / np.sqrt(len(over)))
    return float(over.mean()) > max(LEAST_GAIN * float(before.mean()), error)
