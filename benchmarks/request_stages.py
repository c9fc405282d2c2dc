"""Where the time of one `Recommend` goes, measured inside one process, stage by stage."""

from __future__ import annotations

import asyncio
import os
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

from recsys.candidates import Candidates
from recsys.context import Contexts
from recsys.explanations import reasons
from recsys.pipeline.pipeline import Pipeline
from recsys.query import Query
from serving.api.codec import encode_recommendation
from serving.recommender import Recommender
from serving.snapshot import Snapshot
from serving.state.keys import StateKeys
from serving.state.redis_store import RedisStateStore

STAGES = (
    "state read",
    "resolve",
    "filters",
    "retrieve",
    "merge, rank, select",
    "explain",
    "answer and token",
    "encode",
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Served:
    """What a recommender is made of; it is the snapshot's holder, too."""

    snapshot: Snapshot
    store: RedisStateStore
    keys: StateKeys


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Microseconds a query, at one batch size.

    stages: median over batches, by the names in `STAGES`; they add up to about `whole`.
    sources: the parts of "retrieve", by source.
    """

    whole: float
    stages: Mapping[str, float]
    sources: Mapping[str, float]


class _Watch:
    """Collects the microseconds a query of named steps."""

    def __init__(self, n_queries: int) -> None:
        self.taken: defaultdict[str, list[float]] = defaultdict(list)
        self._n_queries = n_queries

    def __call__(self, name: str, step: Callable[[], T]) -> T:
        started = time.perf_counter()
        result = step()
        self.note(name, time.perf_counter() - started)
        return result

    async def awaited(self, name: str, step: Awaitable[T]) -> T:
        started = time.perf_counter()
        result = await step
        self.note(name, time.perf_counter() - started)
        return result

    def note(self, name: str, seconds: float) -> None:
        self.taken[name].append(seconds / self._n_queries * 1e6)

    def median(self, name: str) -> float:
        return median(self.taken[name])


async def stage_times(
    served: Served, queries: Sequence[Query], *, batch_size: int, n_batches: int
) -> StageTimes:
    """Return the times of queries of one placement, answered `batch_size` at a time.

    Each batch runs twice: whole, by the recommender, and step by step, by the functions the
    recommender calls. What the steps do not explain is the making of the answers and tokens.
    """
    watch = _Watch(batch_size)
    pipeline = served.snapshot.pipelines[queries[0].placement]
    recommender = Recommender(served, served.store, served.keys, chance=os.urandom)
    for batch in _batches(queries, batch_size, n_batches):
        answers = await watch.awaited("whole", recommender.recommend_batch(batch))
        await _by_hand(watch, served, pipeline, batch)
        watch("encode", lambda given=answers: [encode_recommendation(one) for one in given])  # type: ignore[misc]  # a default cannot be inferred
        await asyncio.sleep(0)
    stages = {name: watch.median(name) for name in STAGES if name in watch.taken}
    made = watch.median("whole") - sum(stages.values()) + stages["encode"]
    stages["answer and token"] = max(made, 0.0)
    sources = {name: watch.median(name) for name in pipeline.proposing}
    return StageTimes(watch.median("whole") + stages["encode"], stages, sources)


async def _by_hand(watch: _Watch, served: Served, pipeline: Pipeline, batch: list[Query]) -> None:
    """Do what `Recommender` does for a batch, under the watch."""
    keys = [served.keys.of_query(query) for query in batch]
    states = await watch.awaited("state read", served.store.read(keys))
    contexts = watch("resolve", lambda: served.snapshot.resolve(batch, list(states)))
    listed = _listed(watch, pipeline, contexts)
    catalog = served.snapshot.bundle.catalog
    watch("explain", lambda: reasons(pipeline, contexts, listed, catalog))


def _listed(watch: _Watch, pipeline: Pipeline, contexts: Contexts) -> Candidates:
    """Return what `Pipeline.run` returns, stage by stage."""
    limits = contexts.limits(pipeline.size)
    eligible = watch("filters", lambda: pipeline.eligible(contexts))
    started = time.perf_counter()
    found = [
        watch(named.name, lambda named=named: named.source.retrieve(contexts, eligible, named.k))  # type: ignore[misc]  # a default cannot be inferred
        for named in pipeline.sources
    ]
    watch.note("retrieve", time.perf_counter() - started)

    def finished() -> Candidates:
        merged = Candidates.merged(found)
        ranked = merged.scored(pipeline.ranker.score(contexts, merged)).ordered()
        return pipeline.finished(contexts, eligible, ranked, limits)

    return watch("merge, rank, select", finished)


def _batches(queries: Sequence[Query], size: int, n_batches: int) -> list[list[Query]]:
    """Return batches of queries, taken in turn."""
    places = range(n_batches * size)
    turn = [queries[place % len(queries)] for place in places]
    return [turn[start : start + size] for start in range(0, len(turn), size)]
