"""Placements made of what there always is: popular items, or the catalog, alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from recsys.arrays import frozen
from recsys.bundle import ModelBundle
from recsys.context import RelatesTo
from recsys.pipeline.compile import AnySource, source_of
from recsys.pipeline.diversity import Diverse
from recsys.pipeline.own_sources import New
from recsys.pipeline.pipeline import NamedSource, Pipeline
from recsys.pipeline.placement import SourceKind
from recsys.pipeline.rankers import WeightedSum

DEAR = frozenset({SourceKind.NEAREST, SourceKind.SIMILAR_TO_HISTORY, SourceKind.ALIKE})
"""Sources that look at every item, for each asker."""

WITHOUT_MODEL = frozenset(
    {
        SourceKind.TRENDING,
        SourceKind.SEARCHED,
        SourceKind.RECENTLY_VIEWED,
        SourceKind.ABANDONED,
        SourceKind.DUE,
        SourceKind.NEW,
    }
)
"""Sources that find something before anything was learned."""

BEHIND = 1e-6
"""What fills up a list counts so little that the least of what its own sources find is before it:
all of them score their best 1."""


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

    What their own sources find without a model comes first, then what is wanted of late, where
    that is known, and then what was described last. A placement that nothing fills up stays as it
    is.
    """
    filling = {
        SourceKind.POPULAR: source_of(SourceKind.POPULAR, bundle),
        SourceKind.NEW: New(bundle.catalog.since),
    }
    return {
        name: _from_catalog(one, filling, bundle) if fills_up(one) else one
        for name, one in pipelines.items()
    }


def _from_catalog(
    pipeline: Pipeline, filling: Mapping[SourceKind, AnySource], bundle: ModelBundle
) -> Pipeline:
    """Return the plain pipeline of what needs no model, with these sources behind it."""
    own = [
        replace(named, source=filling.get(SourceKind(named.name), named.source))
        for named in pipeline.sources
        if named.name in WITHOUT_MODEL
    ]
    names = [named.name for named in own]
    behind = [
        NamedSource(kind, source, pipeline.size)
        for kind, source in filling.items()
        if kind not in names
    ]
    weights = [1.0] * len(own) + [BEHIND if own else 1.0] * len(behind)
    return _of(pipeline, [*own, *behind], bundle, weights)


def fills_up(pipeline: Pipeline) -> bool:
    """Return whether a placement's lists are filled up with whatever the shop has."""
    return SourceKind.POPULAR in pipeline.proposing or bool(pipeline.fallback)


def _of(
    pipeline: Pipeline,
    sources: Sequence[NamedSource],
    bundle: ModelBundle,
    weights: Sequence[float] = (),
) -> Pipeline:
    """Return the plainest pipeline that filters the same; as it is where no source is left.

    weights: of the sources; all count 1 where there are none.
    """
    if not sources:
        return pipeline
    counted = frozen(np.array(weights or [1.0] * len(sources), dtype=np.float32))
    selector = pipeline.selector
    return replace(
        pipeline,
        sources=tuple(sources),
        ranker=WeightedSum(counted, bundle.popularity.trends),
        selector=selector.plain if isinstance(selector, Diverse) else selector,
        newcomers=None,
        adjusters=(),
        relates_to=RelatesTo.BOTH if fills_up(pipeline) else pipeline.relates_to,
        fallback="",
        min_relevance=0.0,
        exploration=None,
    )
