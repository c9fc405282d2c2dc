"""From configuration and bundle to pipelines: one `match` a stage."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from recsys.bundle import ModelBundle
from recsys.models.blend import Blend
from recsys.pipeline.filters import Available, NotHidden, NotPurchased, NotSeeds
from recsys.pipeline.newcomers import Introduction, Newcomers
from recsys.pipeline.pipeline import NamedFilter, NamedSource, Pipeline
from recsys.pipeline.placement import (
    AvailableConfig,
    FilterConfig,
    NewcomersConfig,
    NotHiddenConfig,
    NotPurchasedConfig,
    NotSeedsConfig,
    PlacementConfig,
    SelectorConfig,
    SourceConfig,
    SourceKind,
    TopConfig,
    VariedConfig,
)
from recsys.pipeline.rankers import WeightedSum
from recsys.pipeline.selectors import Top, Varied
from recsys.pipeline.sources import (
    BuyAgain,
    Nearest,
    Popular,
    SimilarToHistory,
    SimilarToSeeds,
    Source,
)
from recsys.pipeline.stages import Filter, Selector


def compile_placements(
    placements: Mapping[str, PlacementConfig], bundle: ModelBundle
) -> dict[str, Pipeline]:
    """Return the pipeline of every placement; what is the same in several they have in common."""
    parts = _Parts(bundle)
    return {name: parts.pipeline(name, config) for name, config in placements.items()}


def compile_placement(
    name: str, config: PlacementConfig, bundle: ModelBundle, *, idle: bool = False
) -> Pipeline:
    """Return the pipeline of one placement over one bundle.

    A bundle trained before the placement existed has no weights for it: its sources count alike.
    idle: whether sources that count nothing are kept, to be looked at by themselves; popular
    items always are, since they fill the list.
    """
    return _Parts(bundle).pipeline(name, config, idle=idle)


class _Parts:
    """The parts of pipelines over one bundle, each made once."""

    def __init__(self, bundle: ModelBundle) -> None:
        self._bundle = bundle
        self._sources: dict[SourceKind, Source] = {}
        self._filters: dict[tuple[FilterConfig, ...], tuple[NamedFilter, ...]] = {}

    def pipeline(self, name: str, config: PlacementConfig, *, idle: bool = False) -> Pipeline:
        """Return the pipeline of one placement."""
        bundle = self._bundle
        blend = bundle.blends.get(name, Blend({}))
        weight = {source.kind: blend.weight(source.kind) for source in config.sources}
        sources = [
            source
            for source in config.sources
            if idle or weight[source.kind] > 0 or source.kind is SourceKind.POPULAR
        ]
        weights = [weight[source.kind] for source in sources]
        return Pipeline(
            size=config.size,
            filters=self._filters_of(config.filters),
            sources=tuple(self._named(source) for source in sources),
            ranker=WeightedSum(
                np.array(weights, dtype=np.float32), bundle.popularity.trends, blend.trend
            ),
            selector=_selector(config.selector, bundle),
            newcomers=_introduction(config.newcomers, bundle),
            relates_to=config.relates_to,
            fallback=config.fallback,
        )

    def _filters_of(self, configs: tuple[FilterConfig, ...]) -> tuple[NamedFilter, ...]:
        if configs not in self._filters:
            self._filters[configs] = tuple(NamedFilter(one.kind, _filter(one)) for one in configs)
        return self._filters[configs]

    def _named(self, config: SourceConfig) -> NamedSource:
        if config.kind not in self._sources:
            self._sources[config.kind] = source_of(config.kind, self._bundle)
        return NamedSource(config.kind, self._sources[config.kind], config.k)


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


def source_of(kind: SourceKind, bundle: ModelBundle) -> Source:
    """Return the source of this kind over a bundle's models."""
    match kind:
        case SourceKind.NEAREST:
            return Nearest(bundle.factors, bundle.index)
        case SourceKind.SIMILAR_TO_HISTORY:
            return SimilarToHistory(bundle.neighbors)
        case SourceKind.SIMILAR_TO_SEEDS:
            return SimilarToSeeds(bundle.neighbors)
        case SourceKind.BUY_AGAIN:
            return BuyAgain(bundle.repurchase)
        case SourceKind.BOUGHT_LATELY:
            return BuyAgain(bundle.repurchase.lately())
        case SourceKind.POPULAR:
            return Popular(bundle.popularity)


def _introduction(config: NewcomersConfig | None, bundle: ModelBundle) -> Introduction | None:
    if config is None:
        return None
    return Introduction(Newcomers.of(bundle, config), config.share, bundle.factors)


def _selector(config: SelectorConfig, bundle: ModelBundle) -> Selector:
    match config:
        case TopConfig():
            return Top()
        case VariedConfig():
            return Varied(bundle.catalog.categories, config.per_category)
