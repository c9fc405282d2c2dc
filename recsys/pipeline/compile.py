"""From configuration and bundle to pipelines: one `match` a stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from recsys.assortment import Assortment
from recsys.bundle import ModelBundle
from recsys.catalog_words import CatalogWords
from recsys.conditions import Conditions, Meets, Needs, Unmet
from recsys.models.blend import Blend
from recsys.pipeline.adjusters import Objectives, Rotation
from recsys.pipeline.diversity import Diverse
from recsys.pipeline.exploration import Exploration
from recsys.pipeline.filter_configs import (
    AvailableConfig,
    FilterConfig,
    NotHiddenConfig,
    NotMailedConfig,
    NotPurchasedConfig,
    NotSeedsConfig,
    NotShownConfig,
    NotViewedConfig,
)
from recsys.pipeline.filters import (
    Available,
    NotAbout,
    NotHidden,
    NotMailed,
    NotPurchased,
    NotSeeds,
    NotShown,
    NotViewed,
)
from recsys.pipeline.newcomers import Introduction, Newcomers, came_later
from recsys.pipeline.own_sources import Abandoned, Due, New, OwnSource, RecentlyViewed, Searched
from recsys.pipeline.pipeline import NamedFilter, NamedSource, Pipeline
from recsys.pipeline.placement import (
    NewcomersConfig,
    PlacementConfig,
    SourceConfig,
    SourceKind,
    TopConfig,
    VariedConfig,
)
from recsys.pipeline.rankers import WeightedSum
from recsys.pipeline.related_sources import (
    Alike,
    GoesWith,
    LikeSessions,
    RelatedSource,
    SimilarToHistory,
)
from recsys.pipeline.sources import BuyAgain, Nearest, Popular, Source
from recsys.pipeline.stages import Adjuster, Filter
from recsys.pipeline.trending_source import PopularThere, Trending, WantedSource
from recsys.predicates.errors import InvalidFilter

AnySource = Source | RelatedSource | OwnSource | WantedSource

_Learned = Literal[
    SourceKind.NEAREST,
    SourceKind.SIMILAR_TO_HISTORY,
    SourceKind.BOUGHT_TOGETHER,
    SourceKind.ALSO_VIEWED,
    SourceKind.ALIKE,
    SourceKind.SESSION,
    SourceKind.BUY_AGAIN,
    SourceKind.BOUGHT_LATELY,
    SourceKind.POPULAR,
]

DAYS_OF_ROTATION_ASKED_FOR = 7.0
"""How long a showing counts where a request wants rotation and its placement says nothing of it."""


def compile_placements(
    placements: Mapping[str, PlacementConfig],
    bundle: ModelBundle,
    conditions: Conditions | None = None,
) -> dict[str, Pipeline]:
    """Return the pipeline of every placement; what is the same in several they have in common.

    conditions: over the bundle's catalog, where there are any already.
    """
    parts = _Parts(bundle, conditions or conditions_of(bundle))
    return {name: parts.pipeline(name, config) for name, config in placements.items()}


def compile_placement(
    name: str, config: PlacementConfig, bundle: ModelBundle, *, idle: bool = False
) -> Pipeline:
    """Return the pipeline of one placement over one bundle.

    A bundle trained before the placement existed has no weights for it: its sources count alike.
    idle: whether sources that count nothing are kept, to be looked at by themselves; popular
    items always are, since they fill the list.
    """
    return _Parts(bundle, conditions_of(bundle)).pipeline(name, config, idle=idle)


def conditions_of(bundle: ModelBundle) -> Conditions:
    """Return the conditions over a bundle's catalog."""
    return Conditions.of(Assortment.of(bundle.catalog))


@dataclass(frozen=True, slots=True)
class _Filters:
    """Filters in their order. needs: fields of customer and page that they read."""

    named: tuple[NamedFilter, ...]
    needs: Needs


def stated_filters(text: str, conditions: Conditions) -> _Filters:
    """Return the filters that a placement states in words.

    One that the catalog of this moment cannot answer lets nothing through.
    """
    if not text:
        return _Filters((), frozenset())
    try:
        predicate = conditions.predicate(text)
    except InvalidFilter as error:
        return _Filters((NamedFilter(text, Unmet(str(error))),), frozenset())
    parts = tuple(NamedFilter(one.text, Meets(one, conditions)) for one in predicate.parts())
    return _Filters(parts, predicate.needs)


class _Parts:
    """The parts of pipelines over one bundle, each made once."""

    def __init__(self, bundle: ModelBundle, conditions: Conditions) -> None:
        self._bundle = bundle
        self._conditions = conditions
        self._sources: dict[tuple[SourceKind, float], AnySource] = {}
        self._filters: dict[tuple[tuple[FilterConfig, ...], str, bool], _Filters] = {}

    def pipeline(self, name: str, config: PlacementConfig, *, idle: bool = False) -> Pipeline:
        """Return the pipeline of one placement."""
        bundle = self._bundle
        blend = bundle.blends.get(config.ranker.like or name, Blend({}))
        weight = {source.kind: _weight(source.kind, blend) for source in config.sources}
        sources = [
            source
            for source in config.sources
            if idle or weight[source.kind] > 0 or source.kind is SourceKind.POPULAR
        ]
        weights = [weight[source.kind] for source in sources]
        filters = self._filters_of(config)
        return Pipeline(
            size=config.size,
            filters=filters.named,
            sources=tuple(self._named(source) for source in sources),
            ranker=WeightedSum(
                np.array(weights, dtype=np.float32), bundle.popularity.trends, blend.trend
            ),
            selector=_selector(config, bundle),
            newcomers=_introduction(config.newcomers, bundle),
            adjusters=_adjusters(config, self._conditions),
            min_relevance=config.min_relevance,
            exploration=Exploration(config.exploration.share) if config.exploration else None,
            relates_to=config.relates_to,
            fallback=config.fallback,
            needs=filters.needs,
        )

    def _filters_of(self, config: PlacementConfig) -> _Filters:
        key = config.filters, config.filter, config.relates_to.of_the_asker
        if key not in self._filters:
            named = tuple(NamedFilter(one.kind, _filter(one)) for one in config.filters)
            if config.relates_to.of_the_asker:
                named = (*named, NamedFilter("not_about", NotAbout()))
            stated = stated_filters(config.filter, self._conditions)
            self._filters[key] = _Filters((*named, *stated.named), stated.needs)
        return self._filters[key]

    def _named(self, config: SourceConfig) -> NamedSource:
        key = config.kind, config.days
        if key not in self._sources:
            self._sources[key] = source_of(
                config.kind, self._bundle, days=config.days, words=self._conditions.words
            )
        return NamedSource(config.kind, self._sources[key], config.k)


def _weight(kind: SourceKind, blend: Blend) -> float:
    """Return what a source counts; what is trending cannot be replayed, and counts in full."""
    return 1.0 if kind is SourceKind.TRENDING else blend.weight(kind)


def _filter(config: FilterConfig) -> Filter:
    match config:
        case AvailableConfig():
            return Available()
        case NotSeedsConfig():
            return NotSeeds()
        case NotHiddenConfig():
            return NotHidden()
        case NotPurchasedConfig():
            return NotPurchased(config.within_days)
        case NotViewedConfig():
            return NotViewed(config.within_days)
        case NotShownConfig():
            return NotShown(config.within_days, config.times)
        case NotMailedConfig():
            return NotMailed(config.within_days)


def source_of(
    kind: SourceKind,
    bundle: ModelBundle,
    *,
    days: float = np.inf,
    words: CatalogWords | None = None,
) -> AnySource:
    """Return the source of this kind over a bundle's models.

    days: how far back it looks. words: of the bundle's catalog, where there are any already.
    """
    match kind:
        case SourceKind.TRENDING:
            return Trending()
        case SourceKind.RECENTLY_VIEWED:
            return RecentlyViewed(days)
        case SourceKind.ABANDONED:
            return Abandoned(days)
        case SourceKind.NEW:
            return _new(bundle, days)
        case SourceKind.DUE:
            return Due()
        case SourceKind.SEARCHED:
            spoken = words or CatalogWords.of(bundle.catalog)
            return Searched(spoken.index, bundle.catalog.primaries, bundle.popularity.counts)
        case _:
            return _learned(kind, bundle)


def _learned(kind: _Learned, bundle: ModelBundle) -> AnySource:
    """Return the source of this kind over a model that was trained."""
    match kind:
        case SourceKind.NEAREST:
            return Nearest(bundle.factors, bundle.index)
        case SourceKind.SIMILAR_TO_HISTORY:
            return SimilarToHistory(bundle.relations.together)
        case SourceKind.BOUGHT_TOGETHER:
            return GoesWith(bundle.relations.together)
        case SourceKind.ALSO_VIEWED:
            return GoesWith(bundle.relations.viewed)
        case SourceKind.ALIKE:
            return Alike(bundle.factors, bundle.index)
        case SourceKind.SESSION:
            return LikeSessions(bundle.relations.sessions)
        case SourceKind.BUY_AGAIN:
            return BuyAgain(bundle.repurchase)
        case SourceKind.BOUGHT_LATELY:
            return BuyAgain(bundle.repurchase.lately())
        case SourceKind.POPULAR:
            return PopularThere(Popular(bundle.popularity))


def _new(bundle: ModelBundle, days: float) -> New:
    """Return the source of what is new; what came with the shop is not."""
    since = bundle.catalog.since
    later = came_later(since, n_learned=len(bundle.factors.items))
    return New(np.where(later, since, 0), days)


def _introduction(config: NewcomersConfig | None, bundle: ModelBundle) -> Introduction | None:
    if config is None:
        return None
    return Introduction(Newcomers.of(bundle, config), config.share, bundle.factors)


def _selector(config: PlacementConfig, bundle: ModelBundle) -> Diverse:
    """Return the selector; where the placement wants no diversity, a request still may."""
    match config.selector:
        case TopConfig():
            per_category = 0
        case VariedConfig():
            per_category = config.selector.per_category
    return Diverse(config.diversity, bundle.factors, bundle.catalog.categories, per_category)


def _adjusters(config: PlacementConfig, conditions: Conditions) -> tuple[Adjuster, ...]:
    """Return the adjusters; where the placement wants no rotation, a request still may."""
    rate, days = (
        (config.rotation.rate, config.rotation.days)
        if config.rotation
        else (0.0, DAYS_OF_ROTATION_ASKED_FOR)
    )
    rotation = Rotation(rate, days)
    if not config.lifts:
        return (rotation,)
    return (rotation, Objectives(config.lifts, conditions.values))
