"""What a process serves: one immutable snapshot, replaced whole when the release changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
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
from recsys.pipeline.compile import compile_placements
from recsys.pipeline.pages import Placements
from recsys.pipeline.pipeline import Pipeline
from recsys.pipeline.placement import PlacementConfig
from recsys.query import Page, Query
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
    """One bundle, what of it may be shown, and all placements over it."""

    bundle: ModelBundle
    assortment: Assortment
    placements: Placements

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
        rules = before.placements.rules if before else NO_RULES
        return cls(bundle, assortment, Placements(pipelines, conditions, rules))

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

    def shelf(self, query: Query) -> Shelf:
        """Return what the query may be shown."""
        return self.assortment.shelf(query.market, int(query.now.timestamp()))

    def resolve(self, queries: list[Query], states: list[UserState]) -> Contexts:
        """Return the contexts of queries on one shelf, whose askers' states were read."""
        return Contexts.resolve(
            queries, states, assortment=self.assortment, interest=self.bundle.interest
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
        for name, pipeline in self.pipelines.items():
            contexts = self.resolve([Query(name, now, user_id="warming", seeds=seeds)], [state])
            reasons(pipeline, contexts, pipeline.run(contexts), catalog)


class SnapshotKeeper:
    """Keeps the snapshot of the release that the pointer names.

    snapshot: what is served; None until there is a release that can be.
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
        self.snapshot: Snapshot | None = None
        self._metrics = metrics or ReleaseMetrics.of(Registry())
        self._folder = folder
        self._placements = placements
        self._clock = clock
        self._overlaid = overlaid or _itself
        self._seen: Pointer | None = None

    async def changes(self, poll_s: float) -> AsyncIterator[Snapshot]:
        """Look every `poll_s` seconds, for good, and yield each new snapshot."""
        while True:
            await asyncio.sleep(poll_s)
            if await self.check() and self.snapshot is not None:
                yield self.snapshot

    def publish(self, snapshot: Snapshot) -> None:
        """Serve another snapshot of the same release from now on."""
        self.snapshot = snapshot

    async def check(self) -> bool:
        """Load what the pointer names, if that is news, and return whether it is served now."""
        pointer = self._folder.pointer()
        if pointer is None or pointer == self._seen:
            return False
        self._seen = pointer
        try:
            loaded = await asyncio.to_thread(self._loaded, pointer.version)
            self.snapshot = await self._overlaid(loaded)
        except Exception as error:  # whatever is wrong with a release, the old one is served on
            self._refused(pointer.version, error)
            return False
        self._metrics.loaded.inc()
        log.info("release served", version=pointer.version)
        return True

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
            served=self.snapshot.bundle.version if self.snapshot else None,
        )


async def _itself(snapshot: Snapshot) -> Snapshot:
    return snapshot
