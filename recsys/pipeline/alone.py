"""Placements made of what there always is: popular items, or the catalog, alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from recsys.arrays import frozen
from recsys.bundle import ModelBundle
from recsys.context import RelatesTo
from recsys.pipeline.compile import source_of
from recsys.pipeline.diversity import Diverse
from recsys.pipeline.own_sources import New
from recsys.pipeline.pipeline import NamedSource, Pipeline
from recsys.pipeline.placement import SourceKind
from recsys.pipeline.rankers import WeightedSum

DEAR = frozenset({SourceKind.NEAREST, SourceKind.SIMILAR_TO_HISTORY, SourceKind.ALIKE})
"""Sources that look at every item, for each asker."""


def popular_alone(pipelines: Mapping[str, Pipeline], bundle: ModelBundle) -> dict[str, Pipeline]:
    """Return what placements can list when there is no time, by their names.

    They filter as ever, and list as many, but choose by popularity and numbers alone: it costs
    little, whatever else they are made of. A placement that nothing fills up, such as one of what
    was viewed last, holds nothing else in a hurry either: it keeps its sources but for dear ones.
    """
    popular = source_of(SourceKind.POPULAR, bundle)
    return {
        name: _of(one, [NamedSource(SourceKind.POPULAR, popular, one.size)], bundle)
        if fills_up(one)
        else _of(one, [source for source in one.sources if source.name not in DEAR], bundle)
        for name, one in pipelines.items()
    }


def catalog_alone(pipelines: Mapping[str, Pipeline], bundle: ModelBundle) -> dict[str, Pipeline]:
    """Return the placements of a shop of which nothing was learned yet, by their names.

    What is wanted of late comes first, where that is known, and then what was described last. A
    placement that nothing fills up stays as it is.
    """
    sources = (
        (SourceKind.POPULAR, source_of(SourceKind.POPULAR, bundle)),
        (SourceKind.NEW, New(bundle.catalog.since)),
    )
    return {
        name: _of(one, [NamedSource(kind, source, one.size) for kind, source in sources], bundle)
        if fills_up(one)
        else one
        for name, one in pipelines.items()
    }


def fills_up(pipeline: Pipeline) -> bool:
    """Return whether a placement's lists are filled up with whatever the shop has."""
    return SourceKind.POPULAR in pipeline.proposing or bool(pipeline.fallback)


def _of(pipeline: Pipeline, sources: Sequence[NamedSource], bundle: ModelBundle) -> Pipeline:
    """Return the plainest pipeline that filters the same; as it is where no source is left."""
    if not sources:
        return pipeline
    ones = frozen(np.ones(len(sources), dtype=np.float32))
    selector = pipeline.selector
    return replace(
        pipeline,
        sources=tuple(sources),
        ranker=WeightedSum(ones, bundle.popularity.trends),
        selector=selector.plain if isinstance(selector, Diverse) else selector,
        newcomers=None,
        adjusters=(),
        relates_to=RelatesTo.BOTH if fills_up(pipeline) else pipeline.relates_to,
        fallback="",
        min_relevance=0.0,
        exploration=None,
    )
