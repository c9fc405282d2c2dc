"""The recommender: queries that wait together are read together and computed together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf
from time import perf_counter
from typing import Protocol

from recsys.errors import RecsysError
from recsys.ids import ItemId
from recsys.languages.language import Languages
from recsys.languages.reading import shipped
from recsys.pipeline.groupings import Grouping, RecommendedGroups, grouped
from recsys.query import Page, Query, Recommendation
from recsys.timelines import Ragged
from recsys.why.explaining import case_of, explained
from recsys.why.explanation import Explanation
from serving.answers import Answer, AskedPage, Chance, Means, PageAnswer, answered
from serving.askers import Askers, StateReader
from serving.degraded import Degraded
from serving.metrics import AnswerMetrics, Registry
from serving.pace import Pace, to_make
from serving.releases import no_release
from serving.shown_lists import ShownLists, products_of
from serving.snapshot import Snapshot
from serving.state.keys import StateKeys
from serving.state.profiles import Known

__all__ = ["Recommender", "SnapshotHolder", "StateReader"]

QUIET_TURNS = 10
"""Turns of the loop without a new question after which none is taken to be on its way in."""


class SnapshotHolder(Protocol):
    """Whatever holds the snapshot to serve."""

    @property
    def snapshot(self) -> Snapshot | None:
        """The snapshot of this moment."""
        ...


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A page and who waits for its lists. until: when they are to be made, by the loop's clock."""

    page: Page
    answer: asyncio.Future[PageAnswer]
    until: float


_Asked = tuple[_Waiting, AskedPage]


class Recommender:
    """Answers queries from the current snapshot and the customers' states.

    Calls that wait at the same moment form one batch, but none waits for company.

    behind: tells whether events are acknowledged that the store has not taken.
    languages: of the sentences; those that come with the package, unless told otherwise.
    lists: that were answered, for those that go on from them; None where none does.
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
        lists: ShownLists | None = None,
    ) -> None:
        self._metrics = metrics or AnswerMetrics.of(Registry())
        self._holder = holder
        self._askers = Askers(store, keys, behind=behind, lists=lists)
        self._lists = lists
        self._pace = Pace()
        self._means = Means(chance, languages or shipped())
        self._batch_size = batch_size
        self._waiting: deque[_Waiting] = deque()
        self._working: asyncio.Task[None] | None = None

    async def recommend(self, query: Query, *, within_s: float | None = None) -> Recommendation:
        """Return the answer to one query: a page of one list, in time as `recommend_page`.

        Raises NotFound (UNKNOWN_PLACEMENT) and NotReady (NO_RELEASE).
        """
        (answer,) = await self.recommend_page(Page((query,)), within_s=within_s)
        return answer

    async def recommend_page(self, page: Page, *, within_s: float | None = None) -> PageAnswer:
        """Return the lists of one page, in the order of its queries.

        within_s: seconds that the caller still waits, None for as long as it takes. Where they are
        too few the lists are made of popular items alone, of nobody in particular, and in time.
        Raises NotFound (UNKNOWN_PLACEMENT) and NotReady (NO_RELEASE).
        """
        loop = asyncio.get_running_loop()
        until = inf if within_s is None else loop.time() + to_make(within_s)
        waiting = _Waiting(page, loop.create_future(), until)
        self._waiting.append(waiting)
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        if within_s is None:
            return await waiting.answer
        latest = until - self._pace.hurried_s(len(page.queries))
        timer = loop.call_at(latest, self._hurry, waiting)
        try:
            return await waiting.answer
        finally:
            timer.cancel()

    async def recommend_batch(self, queries: Sequence[Query]) -> list[Recommendation]:
        """Return the answers to many queries, in their order; the first error among them raises."""
        answers: list[Recommendation] = []
        for start in range(0, len(queries), self._batch_size):
            pages = [Page((query,)) for query in queries[start : start + self._batch_size]]
            snapshot = self._snapshot()
            for answer in self._answers(snapshot, await self._askers.read(pages)):
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

    def check_groups(self, query: Query, grouping: Grouping) -> str:
        """Return the version of the bundle that would put a list into groups. Raises as `check`."""
        snapshot = self._snapshot()
        grouping.check(snapshot.placements.conditions.schema)
        snapshot.check(Page((grouping.within(query),)))
        return snapshot.bundle.version

    async def recommend_groups(
        self, query: Query, grouping: Grouping, *, within_s: float | None = None
    ) -> RecommendedGroups:
        """Return the list of one query in groups, those first that suit its asker best.

        Raises InvalidInput where items have no text to be grouped by, and as `recommend`.
        """
        self.check_groups(query, grouping)
        page = Page((grouping.within(query),), goes_on=False)
        (answer,) = await self.recommend_page(page, within_s=within_s)
        return grouped(answer, grouping, query)

    async def explain(self, page: Page, item_id: ItemId) -> Explanation:
        """Return why an item is in the list of a page of one, or why it is not.

        It is no answer: neither counted nor remembered. Raises as an answer would.
        """
        snapshot = self._snapshot()
        snapshot.check(page)
        (asked,) = await self._askers.read([page])
        contexts = snapshot.resolve([page.asker], [asked.known.state])
        contexts = contexts.excluding(_shown_to(asked, snapshot), apart=1)
        personalised = asked.known.personalise
        case = case_of(item_id, page, contexts, snapshot.placements, personalised=personalised)
        # Beside the loop, since a source may be asked as deep as the catalog goes.
        found = await asyncio.to_thread(explained, case, self._means.languages)
        version = snapshot.bundle.version
        degraded = asked.degraded if version else Degraded.NO_RELEASE
        return replace(found, bundle_version=version, degraded=degraded)

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
            await self._answer(batch)
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

    async def _answer(self, batch: Sequence[_Waiting]) -> None:
        """Answer those who wait, all from one snapshot; never raises."""
        try:
            snapshot = self._snapshot()
            asked = await self._askers.read([waiting.page for waiting in batch])
            both = list(zip(batch, asked, strict=True))
        except Exception as error:  # nobody may be left waiting
            self._metrics.failed.inc(0 if isinstance(error, RecsysError) else len(batch))
            for waiting in batch:
                _settle(waiting.answer, error)
            return
        left = [one for one in both if not one[0].answer.done()]
        for some in self._by_haste(left):
            answers = self._answers(snapshot, [one for _, one in some])
            for (waiting, _), answer in zip(some, answers, strict=True):
                _settle(waiting.answer, answer)

    def _by_haste(self, left: Sequence[_Asked]) -> Iterator[Sequence[_Asked]]:
        """Yield those who cannot wait until all are answered, in a hurry; then all others."""
        n_slots = sum(len(waiting.page.queries) for waiting, _ in left)
        latest = asyncio.get_running_loop().time() + self._pace.full_s(n_slots)
        late = [_in_a_hurry(*one) for one in left if one[0].until < latest]
        if late:
            self._pace.spared()
            yield late
        if others := [one for one in left if one[0].until >= latest]:
            yield others

    def _hurry(self, waiting: _Waiting) -> None:
        """Answer with popular items alone whoever can wait no longer."""
        snapshot = self._holder.snapshot
        if waiting.answer.done() or snapshot is None:
            return
        asked = AskedPage(waiting.page, Known.nobody(), Degraded.DEADLINE, hurried=True)
        (answer,) = self._answers(snapshot, [asked])
        _settle(waiting.answer, answer)

    def _answers(self, snapshot: Snapshot, asked: Sequence[AskedPage]) -> list[Answer]:
        """Return the lists of each page, or the error that it met, and count them."""
        n_slots, began = sum(len(one.page.queries) for one in asked), perf_counter()
        try:
            answers = answered(snapshot, asked, self._means)
        except Exception as error:  # nobody may be left waiting
            answers = [error for _ in asked]
        self._pace.took(perf_counter() - began, n_slots, hurried=asked[0].hurried)
        self._metrics.batches.inc()
        self._metrics.queries.inc(n_slots)
        for one, answer in zip(asked, answers, strict=True):
            if isinstance(answer, Exception):
                self._metrics.failed.inc(not isinstance(answer, RecsysError))
            else:
                self._metrics.degraded.inc(sum(bool(each.degraded) for each in answer))
                if self._lists:
                    self._lists.keep(snapshot, one.page, shown=one.shown, answers=answer)
        return answers


def _in_a_hurry(waiting: _Waiting, asked: AskedPage) -> _Asked:
    return waiting, replace(asked, degraded=Degraded.DEADLINE, hurried=True)


def _shown_to(asked: AskedPage, snapshot: Snapshot) -> Ragged:
    """Return what the list of a page of one may not hold, since it goes on from others that do."""
    rows = asked.shown[0] if asked.shown else None
    if rows is None:
        return Ragged.empty(1)
    return Ragged.of([products_of(rows, snapshot.assortment.primaries)])


def _settle(answer: asyncio.Future[PageAnswer], result: Answer) -> None:
    if answer.done():  # the caller gave up meanwhile
        return
    if isinstance(result, Exception):
        answer.set_exception(result)
    else:
        answer.set_result(result)
