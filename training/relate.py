"""How items go with each other, learned under one recipe."""

from __future__ import annotations

import numpy as np

from recsys.interactions import Interactions
from recsys.models.neighbors import NeighborModel
from recsys.models.relations import Relations
from recsys.models.sessions import SessionModel
from training.fit.sessions import SessionsConfig, fit_sessions
from training.fit.together import TogetherConfig, fit_together, less_alternatives
from training.fit.viewed import ViewedConfig, fit_viewed
from training.recipe import Recipe
from training.settings import TrainingSettings

COSINE = 0.5
"""The exponent by which being looked at together is a share, whatever the shop's size."""
WIDER = 2
"""Times as many neighbours as are kept, among which those that are alternatives fall behind."""


def fit_relations(
    kept: Interactions, now: np.datetime64, recipe: Recipe, settings: TrainingSettings
) -> Relations:
    """Return how items go with each other by what was kept of what happened before `now`."""
    viewed = viewed_of(kept, recipe, settings)
    together = together_of(kept, now, recipe, settings)
    return Relations(
        without_alternatives(together, alternatives_of(kept, recipe, settings), recipe, settings),
        viewed,
        sessions_of(kept, recipe, settings),
    )


def together_of(
    kept: Interactions, now: np.datetime64, recipe: Recipe, settings: TrainingSettings
) -> NeighborModel:
    """Return what is bought together, alternatives not yet put behind."""
    config = TogetherConfig(
        recipe.together_half_life_days,
        recipe.together_smoothing,
        recipe.together_exponent,
        recipe.together_soon,
        settings.together.soon_days,
    )
    wide = WIDER if recipe.together_alternatives else 1
    k = wide * settings.together.k
    return fit_together(kept, now, config, k=k, threads=settings.threads)


def alternatives_of(
    kept: Interactions, recipe: Recipe, settings: TrainingSettings
) -> NeighborModel:
    """Return what is looked at in the place of each item, with similarities up to 1."""
    if not recipe.together_alternatives:
        return NeighborModel.empty(kept.n_items)
    return viewed_of(kept, recipe.with_value("viewed_exponent", COSINE), settings)


def without_alternatives(
    together: NeighborModel,
    alternatives: NeighborModel,
    recipe: Recipe,
    settings: TrainingSettings,
) -> NeighborModel:
    """Return what is bought together, behind it what is looked at in each other's place."""
    share = recipe.together_alternatives
    if not share:
        return together
    return less_alternatives(together, alternatives, share, settings.together.k)


def viewed_of(kept: Interactions, recipe: Recipe, settings: TrainingSettings) -> NeighborModel:
    """Return what is looked at beside each item."""
    config = ViewedConfig(settings.viewed.decay, recipe.viewed_smoothing, recipe.viewed_exponent)
    return fit_viewed(kept, config, k=settings.viewed.k)


def sessions_of(kept: Interactions, recipe: Recipe, settings: TrainingSettings) -> SessionModel:
    """Return the newest sessions."""
    own = settings.sessions
    config = SessionsConfig(
        recipe.session_decay, recipe.session_rarity, own.most, own.most_an_item, own.most_items
    )
    return fit_sessions(kept, config)
