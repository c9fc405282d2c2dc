"""Tiers: how much of the asker, or of where they are, lists rest on."""

from __future__ import annotations

from recsys.conditions import Conditions, Needs
from recsys.context import Contexts
from recsys.pipeline.pipeline import Pipeline
from recsys.pipeline.trending_source import PopularThere, Trending, knowing
from recsys.predicates.values import Scope
from recsys.query import Tier

PLACES = ("category", "query", "market", "channel", "device", "page_type")
"""Fields of what was asked that say where the asker is."""


def tiers_of(contexts: Contexts, pipeline: Pipeline, conditions: Conditions) -> list[Tier]:
    """Return how much the list of each query rests on.

    Of whom nothing is known, the list still rests on where they are: where their market is told
    apart in it, or where what the page is for decides what may be in it.
    """
    of_market = _counts_by_market(contexts, pipeline)
    return [
        Tier.SEGMENT
        if tier is Tier.POPULAR and (of_market or _is_placed(contexts, query, pipeline, conditions))
        else tier
        for query, tier in enumerate(knowing(contexts))
    ]


def _counts_by_market(contexts: Contexts, pipeline: Pipeline) -> bool:
    """Return whether a source of the lists goes by what is wanted in the market asked for."""
    trends, market = contexts.trends, contexts.market
    if not trends.tells_of(market):
        return False
    sources = [named.source for named in pipeline.sources]
    rising = len(trends.trending(market).rows) > 0
    return any(
        isinstance(one, PopularThere) or (isinstance(one, Trending) and rising) for one in sources
    )


def _is_placed(contexts: Contexts, query: int, pipeline: Pipeline, conditions: Conditions) -> bool:
    """Return whether filters of a list look at where its asker is, and were told."""
    text = contexts.queries[query].filter
    needs = pipeline.needs | (conditions.predicate(text).needs if text else frozenset())
    asked: Needs = frozenset(
        need for need in needs if need[0] is Scope.CONTEXT and need[1] in PLACES
    )
    return any(conditions.values_of(asked, contexts, query).values())
