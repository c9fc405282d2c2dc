"""The recommender: queries that wait together are read together and computed together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

import structlog

from recsys.candidates import Candidates
from recsys.context import Contexts
from recsys.errors import NotFound, NotReady, Unavailable
from recsys.explanations import main_sources, reasons
from recsys.ids import ItemId
from recsys.pipeline.pipeline import Pipeline
from recsys.query import Query, Recommendation, RecommendedItem
from serving.attribution import RANDOM_BYTES, AttributionToken
from serving.metrics import AnswerMetrics, Registry
from serving.snapshot import Snapshot
from serving.state.keys import StateKey, StateKeys
from serving.state.profiles import Known

log = structlog.get_logger("serving.recommender")

STATE_UNAVAILABLE = "STATE_UNAVAILABLE"
STATE_BEHIND = "STATE_BEHIND"
QUIET_TURNS = 10
"""Turns of the loop without a new question after which none is taken to be on its way in."""
Chance = Callable[[int], bytes]
"""Returns so many random bytes."""

Answer = Recommendation | Exception


class SnapshotHolder(Protocol):
    """Whatever holds the snapshot to serve."""

    @property
    def snapshot(self) -> Snapshot | None:
        """The snapshot of this moment."""
        ...


class StateReader(Protocol):
    """The reading half of a `StateStore`.

    incomplete: whether what was read last may lack events that were acknowledged.
    """

    incomplete: bool

    def known(self, keys: Sequence[Sequence[StateKey]]) -> Awaitable[Sequence[Known]]:
        """Return what may be used of each query's asker. Raises Unavailable."""
        ...


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A query and who waits for its answer."""

    query: Query
    answer: asyncio.Future[Recommendation]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A query with what may be used of its asker; `degraded` says why that may be too little."""

    query: Query
    known: Known
    degraded: str


class Recommender:
    """Answers queries from the current snapshot and the customers' states.

    Calls that wait at the same moment form one batch, but none waits for company.

    behind: tells whether events are acknowledged that the store has not taken.
    """

    def __init__(
        self,
        holder: SnapshotHolder,
        store: StateReader,
        keys: StateKeys,
        *,
        chance: Chance,
        batch_size: int = 32,
        metrics: AnswerMetrics | None = None,
        behind: Callable[[], bool] = lambda: False,
    ) -> None:
        self._metrics = metrics or AnswerMetrics.of(Registry())
        self._holder = holder
        self._store = store
        self._keys = keys
        self._chance = chance
        self._batch_size = batch_size
        self._behind = behind
        self._waiting: deque[_Waiting] = deque()
        self._working: asyncio.Task[None] | None = None

    async def recommend(self, query: Query) -> Recommendation:
        """Return the answer to one query.

        Raises NotFound (UNKNOWN_PLACEMENT) and NotReady (NO_RELEASE).
        """
        answer: asyncio.Future[Recommendation] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(query, answer))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        return await answer

    async def recommend_batch(self, queries: Sequence[Query]) -> list[Recommendation]:
        """Return the answers to many queries, in their order; the first error among them raises."""
        answers: list[Recommendation] = []
        for start in range(0, len(queries), self._batch_size):
            for answer in await self._answers(queries[start : start + self._batch_size]):
                if isinstance(answer, Exception):
                    raise answer
                answers.append(answer)
        return answers

    async def _work(self) -> None:
        """Answer whoever waits, one batch after the other, until nobody does.

        While one batch is on its way those who come gather for the next; two at once were smaller
        and, measured, slower.
        """
        await self._let_in()
        while batch := self._next_batch():
            answers = await self._answers([waiting.query for waiting in batch])
            for waiting, answer in zip(batch, answers, strict=True):
                _settle(waiting.answer, answer)
            await self._let_in()

    async def _let_in(self) -> None:
        """Let answers out and questions in that have arrived; wait for none that has not.

        gRPC admits about one call a turn of the loop, however many have arrived, so turns are
        taken until several in a row bring nobody.
        """
        quiet = 0
        while quiet < QUIET_TURNS and len(self._waiting) < self._batch_size:
            before = len(self._waiting)
            await asyncio.sleep(0)
            quiet = 0 if len(self._waiting) > before else quiet + 1

    def _next_batch(self) -> list[_Waiting]:
        """Return who waits now, at most a batch; those who gave up are left out."""
        batch: list[_Waiting] = []
        while self._waiting and len(batch) < self._batch_size:
            waiting = self._waiting.popleft()
            if not waiting.answer.done():
                batch.append(waiting)
        return batch

    async def _answers(self, queries: Sequence[Query]) -> list[Answer]:
        """Return each query's answer or error, all from one snapshot; never raises."""
        snapshot = self._holder.snapshot
        if snapshot is None:
            return [no_release() for _ in queries]
        try:
            return self._answered_all(snapshot, await self._known(queries))
        except Exception as error:  # nobody may be left waiting
            self._metrics.failed.inc(len(queries))
            return [error for _ in queries]

    def _answered_all(self, snapshot: Snapshot, known: list[_Asked]) -> list[Answer]:
        """Return the answers, computed together for each placement and shelf."""
        answers: dict[int, Answer] = {}
        for name, places in _by_placement(snapshot, [one.query for one in known]):
            pipeline = snapshot.pipelines.get(name)
            if pipeline is None:
                answers |= {place: unknown_placement(name, snapshot.pipelines) for place in places}
                continue
            asked = [known[place] for place in places]
            answers |= zip(places, self._answered(snapshot, pipeline, asked), strict=True)
        return [answers[place] for place in range(len(known))]

    async def _known(self, queries: Sequence[Query]) -> list[_Asked]:
        """Return the queries with what may be used of their askers."""
        self._metrics.batches.inc()
        self._metrics.queries.inc(len(queries))
        try:
            known = await self._store.known([self._keys.of_query(query) for query in queries])
        except Unavailable as error:
            self._metrics.degraded.inc(len(queries))
            log.debug("states unknown", reason=error.reason)
            return [_Asked(query, Known.nobody(), STATE_UNAVAILABLE) for query in queries]
        behind = self._store.incomplete or self._behind()
        said = [STATE_BEHIND if behind or not one.told else "" for one in known]
        self._metrics.degraded.inc(len(said) - said.count(""))
        return [_Asked(*asked) for asked in zip(queries, known, said, strict=True)]

    def _answered(
        self, snapshot: Snapshot, pipeline: Pipeline, asked: list[_Asked]
    ) -> list[Answer]:
        """Return the answers of one group; a query that fails takes none with it."""
        try:
            return list(self._computed(snapshot, pipeline, asked))
        except Exception as error:
            if len(asked) == 1:
                self._metrics.failed.inc()
                return [error]
        return [self._answered(snapshot, pipeline, [one])[0] for one in asked]

    def _computed(
        self, snapshot: Snapshot, pipeline: Pipeline, asked: list[_Asked]
    ) -> Iterator[Recommendation]:
        """Yield the answers of one group."""
        states = [one.known.state for one in asked]
        contexts = snapshot.resolve([one.query for one in asked], states)
        listed = pipeline.run(contexts)
        lists = _lists(snapshot, pipeline, contexts, listed)
        for place, (one, tier) in enumerate(zip(asked, contexts.tiers(), strict=True)):
            yield Recommendation(
                items=lists[place],
                placement=one.query.placement,
                tier=tier,
                bundle_version=snapshot.bundle.version,
                attribution_token=self._token(one.query, snapshot),
                degraded=one.degraded,
                personalised=one.known.personalise,
                missing_ids=contexts.missing[place],
            )

    def _token(self, query: Query, snapshot: Snapshot) -> str:
        chance = self._chance(RANDOM_BYTES)
        version = snapshot.bundle.version
        return AttributionToken(query.placement, version, query.now, chance).encode()


def _settle(answer: asyncio.Future[Recommendation], result: Answer) -> None:
    if answer.done():  # the caller gave up meanwhile
        return
    if isinstance(result, Exception):
        answer.set_exception(result)
    else:
        answer.set_result(result)


def _by_placement(snapshot: Snapshot, queries: Sequence[Query]) -> Iterator[tuple[str, list[int]]]:
    """Yield the placements asked for, and the places of queries that may be shown the same."""

    def group(place: int) -> tuple[str, str, int]:
        query = queries[place]
        return query.placement, query.market, snapshot.shelf(query).since

    for (name, _, _), places in groupby(sorted(range(len(queries)), key=group), key=group):
        yield name, list(places)


def _lists(
    snapshot: Snapshot, pipeline: Pipeline, contexts: Contexts, listed: Candidates
) -> list[tuple[RecommendedItem, ...]]:
    """Return the list of each query."""
    catalog, names = snapshot.bundle.catalog, pipeline.source_names
    why = reasons(pipeline, contexts, listed, catalog)
    sources = main_sources(pipeline, listed).tolist()
    lists: list[list[RecommendedItem]] = [[] for _ in range(len(contexts))]
    rows = contexts.shelf.shown(listed.rows).tolist()
    columns = (listed.queries.tolist(), rows, listed.scores.tolist(), sources, why)
    for query, row, score, source, reason in zip(*columns, strict=True):
        items = lists[query]
        items.append(
            RecommendedItem(
                item_id=ItemId(catalog.vocabulary.id(row)),
                title=catalog.titles[row],
                position=len(items) + 1,
                score=score,
                source=names[source],
                reason=reason,
            )
        )
    return [tuple(items) for items in lists]


def no_release() -> NotReady:
    """Return the error of an installation that has nothing to serve."""
    return NotReady(
        "there is no release to serve yet: run `recsys import`, then `recsys train`; it is "
        "served within a second. Where `recsys releases` shows one as served, the server refused "
        "it and says why in its log: `recsys rollback`, or `recsys promote` another",
        reason="NO_RELEASE",
    )


def unknown_placement(name: str, known: Iterable[str]) -> NotFound:
    """Return the error of a placement that is not configured."""
    names = ", ".join(sorted(known))
    return NotFound(
        f"there is no placement {name!r}; those that exist: {names}",
        reason="UNKNOWN_PLACEMENT",
        metadata={"placement": name, "known": names},
    )
