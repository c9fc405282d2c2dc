"""The recommender: queries that wait together are read together and computed together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from recsys.errors import NotReady, RecsysError, Unavailable
from recsys.ids import ItemId
from recsys.languages.language import Languages
from recsys.languages.reading import shipped
from recsys.query import Page, Query, Recommendation
from recsys.why.explaining import case_of, explained
from recsys.why.explanation import Explanation
from serving.answers import Answer, AskedPage, Chance, Means, PageAnswer, answered
from serving.metrics import AnswerMetrics, Registry
from serving.snapshot import Snapshot
from serving.state.keys import StateKey, StateKeys
from serving.state.profiles import Known

log = structlog.get_logger("serving.recommender")

STATE_UNAVAILABLE = "STATE_UNAVAILABLE"
STATE_BEHIND = "STATE_BEHIND"
QUIET_TURNS = 10
"""Turns of the loop without a new question after which none is taken to be on its way in."""


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
    """A page and who waits for its lists."""

    page: Page
    answer: asyncio.Future[PageAnswer]


class Recommender:
    """Answers queries from the current snapshot and the customers' states.

    Calls that wait at the same moment form one batch, but none waits for company.

    behind: tells whether events are acknowledged that the store has not taken.
    languages: of the sentences; those that come with the package, unless told otherwise.
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
        languages: Languages | None = None,
    ) -> None:
        self._metrics = metrics or AnswerMetrics.of(Registry())
        self._holder = holder
        self._store = store
        self._keys = keys
        self._means = Means(chance, languages or shipped())
        self._batch_size = batch_size
        self._behind = behind
        self._waiting: deque[_Waiting] = deque()
        self._working: asyncio.Task[None] | None = None

    async def recommend(self, query: Query) -> Recommendation:
        """Return the answer to one query: a page of one list.

        Raises NotFound (UNKNOWN_PLACEMENT) and NotReady (NO_RELEASE).
        """
        (answer,) = await self.recommend_page(Page((query,)))
        return answer

    async def recommend_page(self, page: Page) -> PageAnswer:
        """Return the lists of one page, in the order of its queries.

        Raises NotFound (UNKNOWN_PLACEMENT) and NotReady (NO_RELEASE).
        """
        answer: asyncio.Future[PageAnswer] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(page, answer))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        return await answer

    async def recommend_batch(self, queries: Sequence[Query]) -> list[Recommendation]:
        """Return the answers to many queries, in their order; the first error among them raises."""
        answers: list[Recommendation] = []
        for start in range(0, len(queries), self._batch_size):
            pages = [Page((query,)) for query in queries[start : start + self._batch_size]]
            for answer in await self._answers(pages):
                if isinstance(answer, Exception):
                    raise answer
                answers.extend(answer)
        return answers

    def check(self, page: Page) -> str:
        """Return the version of the bundle that would answer a page, and serve nothing.

        Raises NotFound, InvalidInput and NotReady as an answer would.
        """
        snapshot = self._snapshot()
        snapshot.check(page)
        return snapshot.bundle.version

    async def explain(self, page: Page, item_id: ItemId) -> Explanation:
        """Return why an item is in the list of a page of one, or why it is not.

        It is no answer: neither counted nor remembered. Raises as an answer would.
        """
        snapshot = self._snapshot()
        snapshot.check(page)
        (asked,) = await self._askers([page])
        contexts = snapshot.resolve([page.asker], [asked.known.state])
        personalised = asked.known.personalise
        case = case_of(item_id, page, contexts, snapshot.placements, personalised=personalised)
        # Beside the loop, since a source may be asked as deep as the catalog goes.
        found = await asyncio.to_thread(explained, case, self._means.languages)
        return replace(found, bundle_version=snapshot.bundle.version, degraded=asked.degraded)

    def _snapshot(self) -> Snapshot:
        snapshot = self._holder.snapshot
        if snapshot is None:
            raise no_release()
        return snapshot

    async def _work(self) -> None:
        """Answer whoever waits, one batch after the other, until nobody does.

        While one batch is on its way those who come gather for the next; two at once were smaller
        and, measured, slower.
        """
        await self._let_in()
        while batch := self._next_batch():
            answers = await self._answers([waiting.page for waiting in batch])
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

    async def _answers(self, pages: Sequence[Page]) -> list[Answer]:
        """Return each page's lists or error, all from one snapshot; never raises."""
        snapshot = self._holder.snapshot
        if snapshot is None:
            return [no_release() for _ in pages]
        try:
            answers = answered(snapshot, await self._known(pages), self._means)
        except Exception as error:  # nobody may be left waiting
            answers = [error for _ in pages]
        faults = [one for one in answers if isinstance(one, Exception)]
        self._metrics.failed.inc(sum(not isinstance(one, RecsysError) for one in faults))
        return answers

    async def _known(self, pages: Sequence[Page]) -> list[AskedPage]:
        """Return the pages with what may be used of their askers, and count them."""
        self._metrics.batches.inc()
        self._metrics.queries.inc(sum(len(page.queries) for page in pages))
        asked = await self._askers(pages)
        self._metrics.degraded.inc(sum(len(one.page.queries) for one in asked if one.degraded))
        return asked

    async def _askers(self, pages: Sequence[Page]) -> list[AskedPage]:
        """Return the pages with what may be used of their askers."""
        try:
            known = await self._store.known([self._keys.of_query(page.asker) for page in pages])
        except Unavailable as error:
            log.debug("states unknown", reason=error.reason)
            return [AskedPage(page, Known.nobody(), STATE_UNAVAILABLE) for page in pages]
        behind = self._store.incomplete or self._behind()
        said = [STATE_BEHIND if behind or not one.told else "" for one in known]
        return [AskedPage(*asked) for asked in zip(pages, known, said, strict=True)]


def _settle(answer: asyncio.Future[PageAnswer], result: Answer) -> None:
    if answer.done():  # the caller gave up meanwhile
        return
    if isinstance(result, Exception):
        answer.set_exception(result)
    else:
        answer.set_result(result)


def no_release() -> NotReady:
    """Return the error of an installation that has nothing to serve."""
    return NotReady(
        "there is no release to serve yet: run `recsys import`, then `recsys train`; it is "
        "served within a second. Where `recsys releases` shows one as served, the server refused "
        "it and says why in its log: `recsys rollback`, or `recsys promote` another",
        reason="NO_RELEASE",
    )
