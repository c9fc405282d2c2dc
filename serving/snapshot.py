"""What a process serves: one immutable snapshot, replaced whole when the release changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

import numpy as np
import structlog

from recsys.assortment import Assortment, Shelf
from recsys.bundle import ModelBundle
from recsys.chosen_fields import check_fields
from recsys.conditions import Conditions
from recsys.context import Contexts
from recsys.errors import RecsysError
from recsys.events import EVENT_CODES, EventType
from recsys.explanations import reasons
from recsys.models.trends import NO_TRENDS, Trends
from recsys.nothing_learned import nothing_learned
from recsys.pipeline.alone import catalog_alone, popular_alone
from recsys.pipeline.compile import compile_placements
from recsys.pipeline.pages import Placements
from recsys.pipeline.pipeline import Pipeline
from recsys.pipeline.placement import PlacementConfig
from recsys.query import Page, Query, Scene
from recsys.releases import Pointer
from recsys.rules.book import NO_RULES, RuleBook
from recsys.rules.conflicts import Shop
from recsys.state import UserState, packed
from serving.clock import Clock
from serving.metrics import Registry, ReleaseMetrics
from serving.releases import ReleaseFolder

log = structlog.get_logger("serving.snapshot")

WARMING_ITEMS = 3


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One bundle, what of it may be shown, and all placements over it.

    counted: what is wanted, by item. trends: the same by product of this assortment.
    """

    bundle: ModelBundle
    assortment: Assortment
    placements: Placements
    counted: Trends = NO_TRENDS
    trends: Trends = NO_TRENDS

    @classmethod
    def of(
        cls,
        bundle: ModelBundle,
        placements: Mapping[str, PlacementConfig],
        before: Self | None = None,
    ) -> Self:
        """Return the snapshot in which these placements are served from a bundle.

        before: the one it takes the place of, whose work is used again where nothing changed.
        """
        assortment = Assortment.of(bundle.catalog, before.assortment if before else None)
        conditions = Conditions.of(assortment, before.placements.conditions if before else None)
        pipelines = compile_placements(placements, bundle, conditions)
        if not bundle.version:
            pipelines = catalog_alone(pipelines, bundle)
        rules = before.placements.rules if before else NO_RULES
        made = cls(bundle, assortment, Placements(pipelines, conditions, rules))
        return made.wanting(before.counted, before) if before else made

    def wanting(self, counted: Trends, before: Self | None = None) -> Self:
        """Return the snapshot in which this is what is wanted.

        before: one whose work is used again where nothing changed.
        """
        primaries = self.assortment.primaries
        if before and before.counted is counted and before.assortment.primaries is primaries:
            return replace(self, counted=counted, trends=before.trends)
        trends = counted.rolled_up(primaries)
        if before:
            trends.prepare(before.trends)
        return replace(self, counted=counted, trends=trends)

    def ruled(self, rules: RuleBook) -> Self:
        """Return the snapshot in which these rules hold, and no others."""
        return replace(self, placements=replace(self.placements, rules=rules))

    def shop(self, now: datetime) -> Shop:
        """Return what rules are held against at an instant."""
        sizes = {name: pipeline.size for name, pipeline in self.pipelines.items()}
        return Shop(now, sizes, self.placements.conditions)

    @property
    def pipelines(self) -> Mapping[str, Pipeline]:
        """The pipeline of each placement."""
        return self.placements.pipelines

    def check(self, page: Page) -> None:
        """Raise NotFound for an unknown placement, InvalidInput for what the catalog lacks."""
        self.placements.check(page)
        check_fields(page.asker.item_fields, self.placements.conditions.schema)

    def prepare(self, before: Self, now: int) -> None:
        """Make what one before was asked for, so that nobody waits for it."""
        self.assortment.prepare(before.assortment, now)
        self.placements.conditions.prepare(before.placements.conditions, now)

    def in_a_hurry(self, placements: Iterable[str]) -> Self:
        """Return the snapshot in which these placements list popular items alone, and no others."""
        if not self.bundle.version:
            return self  # it costs little as it is, and nothing is known to be popular
        pipelines = {name: self.pipelines[name] for name in placements}
        popular = popular_alone(pipelines, self.bundle)
        return replace(self, placements=replace(self.placements, pipelines=popular))

    def shows_anything(self, now: datetime) -> bool:
        """Return whether there is an item that may be shown somewhere at an instant."""
        markets, second = ("", *self.assortment.markets), int(now.timestamp())
        return any(self.assortment.shelf(one, second).allowed.any() for one in markets)

    def shelf(self, query: Query) -> Shelf:
        """Return what the query may be shown."""
        return self.assortment.shelf(query.market, int(query.now.timestamp()))

    def resolve(self, queries: list[Query], states: list[UserState]) -> Contexts:
        """Return the contexts of queries on one shelf, whose askers' states were read."""
        return Contexts.resolve(
            queries,
            states,
            assortment=self.assortment,
            interest=self.bundle.interest,
            trends=self.trends,
        )

    def warm(self, clock: Clock) -> None:
        """Run every placement once, for somebody who knows popular items, so that pages are in.

        Raises whatever a bundle raises whose parts do not fit each other.
        """
        catalog, now = self.bundle.catalog, clock()
        known = self.bundle.popularity.order[:WARMING_ITEMS].tolist()
        n_known = len(known)
        purchases = packed(
            np.full(n_known, int(now.timestamp()), dtype=np.int64),
            np.arange(n_known, dtype=np.uint32),
            np.array(known, dtype=np.int32),
            np.full(n_known, EVENT_CODES[EventType.PURCHASE], dtype=np.uint8),
            np.ones(n_known, dtype=np.float32),
        )
        state = replace(UserState.unknown(), purchases=purchases)
        seeds = tuple(catalog.vocabulary.id(row) for row in known)
        scene = Scene(search="warming")  # so that the words of the catalog are gathered
        for name, pipeline in self.pipelines.items():
            query = Query(name, now, user_id="warming", seeds=seeds, scene=scene)
            contexts = self.resolve([query], [state])
            reasons(pipeline, contexts, pipeline.run(contexts), catalog)


class SnapshotKeeper:
    """Keeps the snapshot of the release that the pointer names.

    Until there is one that can be served, the catalog stands in for it.

    overlaid: makes the snapshot of a bundle that was loaded; such as it is, where there is none.
    An invalid release leaves the old snapshot in place, is said once, counted,
    and not tried again until the pointer is written anew.
    """

    def __init__(
        self,
        folder: ReleaseFolder,
        placements: Mapping[str, PlacementConfig],
        clock: Clock,
        metrics: ReleaseMetrics | None = None,
        overlaid: Callable[[Snapshot], Awaitable[Snapshot]] | None = None,
    ) -> None:
        self._latest: Snapshot | None = None
        self._newest: Snapshot | None = None
        self._metrics = metrics or ReleaseMetrics.of(Registry())
        self._folder = folder
        self._placements = placements
        self._clock = clock
        self._overlaid = overlaid or _itself
        self._seen: Pointer | None = None
        self._counted = NO_TRENDS

    @property
    def snapshot(self) -> Snapshot | None:
        """What is served; None until there is a release that can be, or an item to be shown."""
        latest = self._latest
        if latest is None or latest.bundle.version or latest.shows_anything(self._clock()):
            return latest
        return None

    async def changes(self, poll_s: float) -> AsyncIterator[Snapshot | None]:
        """Look every `poll_s` seconds, for good, and yield the first snapshot of each release.

        So is the first that stands in for one, and None where there is nothing to serve any more.
        """
        served = self._version()
        while True:
            await asyncio.sleep(poll_s)
            if await self.check() or self._version() != served:
                served = self._version()
                yield self.snapshot

    async def publish(self, snapshot: Snapshot) -> None:
        """Serve another snapshot, with what is wanted now; return when it, or a newer one, is."""
        self._newest = snapshot
        await self._serve(snapshot)

    async def keep_publishing(self, snapshots: AsyncIterator[Snapshot]) -> None:
        """Serve each snapshot of the same release, as they come."""
        async for snapshot in snapshots:
            await self.publish(snapshot)

    async def want(self, counted: Trends) -> None:
        """Serve with this as what is wanted from now on, whatever else changes."""
        self._counted = counted
        if self._newest is not None:
            await self._serve(self._newest)

    async def check(self) -> bool:
        """Load what the pointer names, if that is news, and return whether it is served now."""
        pointer = self._folder.pointer()
        if pointer is None or pointer == self._seen:
            await self._stand_in()
            return False
        self._seen = pointer
        try:
            loaded = await asyncio.to_thread(self._loaded, pointer.version)
            await self.publish(await self._overlaid(loaded))
        except Exception as error:  # whatever is wrong with a release, the old one is served on
            self._refused(pointer.version, error)
            await self._stand_in()
            return False
        self._metrics.loaded.inc()
        log.info("release served", version=pointer.version)
        return True

    async def _serve(self, newest: Snapshot) -> None:
        """Serve the newest snapshot with what is wanted, made beside the loop.

        Whatever either is replaced by meanwhile, it is made again: none goes back to an older one.
        """
        while True:
            counted = self._counted
            try:
                made = await asyncio.to_thread(newest.wanting, counted, self._latest)
            except Exception:
                self._newest = self._latest if self._newest is newest else self._newest
                raise
            if self._newest is newest and self._counted is counted:
                self._latest = made
                return
            newest = self._newest or newest

    async def _stand_in(self) -> None:
        """Serve the catalog where nothing is served."""
        if self._latest is not None:
            return
        try:
            bare = Snapshot.of(nothing_learned(), self._placements)
            await self.publish(await self._overlaid(bare))
        except Exception as error:  # whatever is wrong with the catalog, events are taken
            log.error("catalog cannot stand in", reason=type(error).__name__, message=str(error))

    def _version(self) -> str | None:
        """Return the release that is served; empty for the catalog alone, None for nothing."""
        snapshot = self.snapshot
        return None if snapshot is None else snapshot.bundle.version

    def _loaded(self, version: str) -> Snapshot:
        snapshot = Snapshot.of(self._folder.load(version), self._placements)
        snapshot.warm(self._clock)
        return snapshot

    def _refused(self, version: str, error: Exception) -> None:
        self._metrics.refused.inc()
        log.error(
            "release refused",
            version=version,
            reason=error.reason if isinstance(error, RecsysError) else type(error).__name__,
            message=str(error),
            served=self._version(),
        )


async def _itself(snapshot: Snapshot) -> Snapshot:
    return snapshot
