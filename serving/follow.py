"""Following the catalog and the rules: what their registers say acts on answers within a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import structlog

from recsys.bundle import ModelBundle
from recsys.errors import RecsysError, Unavailable
from recsys.events import Position
from recsys.fill_report import Unmet
from recsys.pipeline.placement import PlacementConfig
from recsys.rules.book import RuleBook
from serving.clock import Clock
from serving.log.items import RegisteredItem
from serving.metrics import FollowMetrics, Registry
from serving.overlay import CatalogOverlay
from serving.snapshot import Snapshot

log = structlog.get_logger("serving.follow")

STEP = 1_000
"""Most items taken at once: reading them keeps a core for about 20 ms."""
REST = 3.0
"""Rest after a step, in times of what it took: a stream of changes gets a fraction of a core."""
LONGEST_REST_S = 0.5
"""What is true acts within a second, however long a step takes."""
RETRY_S = 1.0


class ItemRegister(Protocol):
    """What reads the register of items; used by one thread at a time. Raises Unavailable."""

    def last_position(self) -> Position:
        """Return the highest position ever given."""

    def items_behind(self, after: Position, limit: int) -> list[RegisteredItem]:
        """Return at most `limit` items that changed behind a position, by ascending position."""

    def close(self) -> None:
        """Let the file go."""


class RulesRead(Protocol):
    """What reads the register of rules; used by one thread at a time. Raises Unavailable."""

    def position(self) -> Position:
        """Return the position of the newest change of any rule, 0 where there never was one."""

    def book(self) -> RuleBook:
        """Return the rules as they are now."""

    def close(self) -> None:
        """Let the file go."""


@dataclass(frozen=True, slots=True)
class Step:
    """What came of one look at the registers.

    snapshot: the new one; None where nothing changed.
    followed: the position up to which every change has been taken.
    more: whether changes wait.
    """

    snapshot: Snapshot | None
    followed: Position
    more: bool


class CatalogFollower:
    """Keeps the served catalog, and the rules, up to the registers'.

    A register that cannot be read for a while is said once and counted, and tried again; what is
    served stays. All reading and growing is done in one thread of its own.

    register, rules: open the registers; asked again after a failure. Without rules none are
        followed.
    """

    def __init__(
        self,
        register: Callable[[], ItemRegister],
        placements: Mapping[str, PlacementConfig],
        clock: Clock,
        *,
        rules: Callable[[], RulesRead] | None = None,
        interval_s: float,
        metrics: FollowMetrics | None = None,
    ) -> None:
        self._source = _Source(register)
        self._rules = _Rules(rules)
        self._placements = placements
        self._clock = clock
        self._interval_s = interval_s
        self._metrics = metrics or FollowMetrics.of(Registry())
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="follow")
        self._overlay: CatalogOverlay | None = None
        self._snapshot: Snapshot | None = None
        self._failing = False
        self._set_aside: tuple[Unmet, ...] = ()
        self._whole_at = time.monotonic()

    async def overlaid(self, loaded: Snapshot) -> Snapshot:
        """Return the snapshot of a bundle that was loaded, over the catalog of this moment.

        From now on it is this one that is followed. While the register cannot be read it is
        tried again: an older catalog is never put in the place of a newer one. Raises whatever a
        bundle raises that the catalog does not fit.
        """
        run = asyncio.get_running_loop().run_in_executor
        overlay = await run(self._thread, overlay_of, loaded.bundle)
        snapshot, more = loaded, True
        while more:
            step = await self._stepped(overlay, snapshot)
            if step is None:
                await asyncio.sleep(RETRY_S)
                continue
            snapshot, more = step.snapshot or snapshot, step.more
        if not snapshot.bundle.version:  # which nobody warms, as one does a release
            await run(self._thread, snapshot.placements.conditions.words.index)
        self._overlay, self._snapshot = overlay, snapshot
        return snapshot

    async def snapshots(self) -> AsyncIterator[Snapshot]:
        """Look at the register for good, and yield each snapshot that is to be served now."""
        rest_s = self._interval_s
        while True:
            await asyncio.sleep(rest_s)
            overlay, before = self._overlay, self._snapshot
            if overlay is None or before is None:
                continue
            began = time.monotonic()
            step = await self._tried(overlay, before)
            took_s = time.monotonic() - began
            rest_s = max(self._interval_s, min(REST * took_s, LONGEST_REST_S))
            if step is None:
                rest_s = max(self._interval_s, RETRY_S)
            elif step.snapshot is not None and overlay is self._overlay:
                self._snapshot = step.snapshot
                self._metrics.publish_seconds.observe(took_s)
                yield step.snapshot

    async def close(self) -> None:
        """Let the register go."""
        run = asyncio.get_running_loop().run_in_executor
        await run(self._thread, self._source.close)
        await run(self._thread, self._rules.close)
        self._thread.shutdown()

    async def _tried(self, overlay: CatalogOverlay, before: Snapshot) -> Step | None:
        """Take what changed; None where that failed."""
        try:
            return await self._stepped(overlay, before)
        except Exception as error:  # a fault of our own: what is served is served on
            self._failed(error)
            return None

    async def _stepped(self, overlay: CatalogOverlay, before: Snapshot) -> Step | None:
        """Take what changed; None where the register cannot be read, which is said once."""
        run = asyncio.get_running_loop().run_in_executor
        try:
            step = await run(self._thread, self._step, overlay, before)
        except Unavailable as error:
            self._failed(error)
            return None
        if self._failing:
            log.info("catalog followed again", position=step.followed)
        self._failing = False
        if not step.more:
            self._whole_at = time.monotonic()
        self._note(step.followed)
        return step

    def _step(self, overlay: CatalogOverlay, before: Snapshot) -> Step:
        """Take at most `STEP` changes, and the rules, and make what is to be served of them.

        In the thread.
        """
        last, found = self._source.behind(overlay.position)
        rules = self._rules.other_than(before.placements.rules)
        more, snapshot = len(found) == STEP, before
        if found:
            overlay.take(found)
            snapshot = Snapshot.of(overlay.served, self._placements, before)
            snapshot.prepare(before, int(self._clock().timestamp()))
        if rules is not None:
            self._say_set_aside(rules)
            snapshot = snapshot.ruled(rules)
        followed = overlay.position if more else max(last, overlay.position)
        return Step(None if snapshot is before else snapshot, followed, more)

    def _say_set_aside(self, rules: RuleBook) -> None:
        """Say which rules cannot be read, each once; the others are followed."""
        for one in rules.set_aside:
            if one not in self._set_aside:
                log.error("rule set aside", rule=one.rule, why=one.why)
        self._set_aside = rules.set_aside

    def _failed(self, error: Exception) -> None:
        self._metrics.failures.inc()
        self._note(None)
        if not self._failing:
            reason = error.reason if isinstance(error, RecsysError) else type(error).__name__
            log.error("catalog not followed", reason=reason, message=str(error))
        self._failing = True

    def _note(self, followed: Position | None) -> None:
        if followed is not None:
            self._metrics.position.set(followed)
        self._metrics.lag_seconds.set(time.monotonic() - self._whole_at)


def overlay_of(bundle: ModelBundle) -> CatalogOverlay:
    """Return the overlay of a bundle that was loaded, as it was learned."""
    return CatalogOverlay(bundle, bundle.content)


def catalog_of_now(bundle: ModelBundle, register: ItemRegister) -> ModelBundle:
    """Return the bundle over all that the register holds. Raises Unavailable."""
    overlay = overlay_of(bundle)
    while found := register.items_behind(overlay.position, STEP):
        overlay.take(found)
    return overlay.served


class _Source:
    """The register, opened when it is needed, and anew after a failure."""

    def __init__(self, register: Callable[[], ItemRegister]) -> None:
        self._register = register
        self._open: ItemRegister | None = None

    def behind(self, position: Position) -> tuple[Position, list[RegisteredItem]]:
        """Return the last position, and at most `STEP` items that changed behind one."""
        try:
            if self._open is None:
                self._open = self._register()
            return self._open.last_position(), self._open.items_behind(position, STEP)
        except Exception:
            self.close()
            raise

    def close(self) -> None:
        if self._open is not None:
            register, self._open = self._open, None
            register.close()


class _Rules:
    """The register of rules, opened when it is needed, and anew after a failure."""

    def __init__(self, register: Callable[[], RulesRead] | None) -> None:
        self._register = register
        self._open: RulesRead | None = None

    def other_than(self, known: RuleBook) -> RuleBook | None:
        """Return the rules as they are now; None where they are those that are known."""
        if self._register is None:
            return None
        try:
            if self._open is None:
                self._open = self._register()
            return None if self._open.position() == known.position else self._open.book()
        except Exception:
            self.close()
            raise

    def close(self) -> None:
        if self._open is not None:
            register, self._open = self._open, None
            register.close()
