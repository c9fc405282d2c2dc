"""Catching up: what customers' states and profiles do not hold yet is applied to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Protocol, Self, TypeVar

from recsys.errors import Unavailable
from recsys.events import Position
from serving.lake.replay import Step, events_behind
from serving.log.customer_reads import CustomerReader
from serving.log.customer_register import CustomerProfile
from serving.log.tail import LogTail
from serving.state.changes import PackedEvents
from serving.state.store import Missing, StateStore

LONGEST_WAIT_S = 60.0
_LOOK_EVERY_S = 0.2
_MOST_LOSSES = 3
_CHANGES_A_STEP = 1_000

T = TypeVar("T")

RecordsTold = Callable[[int, int], None]
"""Told how many records are applied so far, of how many."""


class BulkStore(StateStore, Protocol):
    """A store that also takes events by columns, and tells readers while it is filled anew."""

    async def set_missing(self, missing: Missing | None) -> None:
        """Note what is being made anew and cannot be relied on, or that all of it is there."""
        ...

    async def apply_packed(self, events: PackedEvents) -> None:
        """Remember many events at once; the same as `apply` of their records."""
        ...


class PackedGate(Protocol):
    """Whatever keeps events of erased customers out."""

    def packed(self, events: PackedEvents) -> PackedEvents:
        """Return the events but for those of who is gone."""
        ...


class CatchUp:
    """Applies what log and lake hold behind the store's `applied_through`.

    For one process at a time, the holder of the data folder's lock. Everything may be applied
    twice. A store that was emptied, or restarted without its last second, is noticed: it notes
    no position, or not the one that was noted last, and gets everything behind that again. While
    an emptied one is filled, it says so to whoever reads it.

    Profiles come first, and from the register as it is now: before a state is used again, it is
    known who refused that.
    """

    def __init__(
        self,
        log_file: Path,
        lake_folder: Path,
        store: BulkStore,
        gate: PackedGate | None = None,
    ) -> None:
        self._gate = gate
        self._lake_folder = lake_folder
        self._store = store
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="catch-up")
        self._tail = self._thread.submit(LogTail, log_file).result()
        self._customers = self._thread.submit(CustomerReader, log_file).result()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._in_thread(self._tail.close)
        await self._in_thread(self._customers.close)
        self._thread.shutdown()

    async def last_position(self) -> Position:
        """Return the position of the newest record."""
        return await self._in_thread(self._tail.last_position)

    async def run(self, told: RecordsTold) -> Position:
        """Apply everything there is and return the position it reaches.

        Raises Unavailable when store, log or lake cannot be used.
        """
        for _ in range(_MOST_LOSSES):
            reached = await self._run_from(await self._begun(), told)
            if reached is not None:
                await self._store.set_missing(None)
                return reached
        raise Unavailable(
            "the store of customers' states loses what it holds while it is brought up to date. "
            "See who empties it, and whether it evicts keys, which it must not "
            "(maxmemory-policy noeviction)",
            reason="STATE_LOST",
        )

    async def wait_for_server(self, told: RecordsTold) -> None:
        """Return once the server that holds the folder has applied what the log holds now.

        Raises Unavailable where it gets no further.
        """
        last, reached, waited = await self.last_position(), -1, 0.0
        while (applied := await self._store.applied_through() or 0) < last:
            waited = 0.0 if applied > reached else waited + _LOOK_EVERY_S
            if waited >= LONGEST_WAIT_S:
                raise Unavailable(
                    "the server that holds the data folder does not bring customers' states up to "
                    "date; look at what it says, or stop it and try again",
                    reason="STATE_BEHIND",
                )
            reached = max(applied, reached)
            told(applied, last)
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _begun(self) -> Position:
        """Return where to begin, which is noted, so that a store emptied from now on shows it."""
        applied = await self._store.applied_through()
        if applied is None:
            await self._store.set_missing(Missing.PROFILES)
            await self._store.set_applied_through(Position(0), expected=None)
        return applied or Position(0)

    async def _run_from(self, first: Position, told: RecordsTold) -> Position | None:
        """Return the position reached; None where the store has lost what it held."""
        last, applied, done = await self.last_position(), first, 0
        await self._restore_profiles(first, last)
        steps = events_behind(self._tail, self._lake_folder, first, last)
        while (step := await self._in_thread(lambda: _next(steps))) is not None:
            await self._store.apply_packed(self._let_in(step.events))
            if step.through > applied:
                if not await self._store.set_applied_through(step.through, expected=applied):
                    return None
                applied = step.through
            done = max(done + len(step.events.entries), applied - first)
            told(done, max(last - first, done))
        return applied

    async def _restore_profiles(self, after: Position, through: Position) -> None:
        """Apply the profiles of all customers who changed in (after, through]."""
        reached = after
        while reached < through:
            profiles, reached = await self._in_thread(
                partial(self._profiles_behind, reached, through)
            )
            await self._store.apply_profiles(profiles)
        if after < through and not after:
            await self._store.set_missing(Missing.STATES)

    def _profiles_behind(
        self, after: Position, through: Position
    ) -> tuple[list[CustomerProfile], Position]:
        """Return profiles of customers who changed behind a position, and how far that goes."""
        touched = self._customers.touched(after, through, _CHANGES_A_STEP)
        named = (identifier for change in touched for identifier in change.identifiers)
        reached = touched[-1].position if len(touched) == _CHANGES_A_STEP else through
        return self._customers.profiles_of(named), reached

    def _let_in(self, events: PackedEvents) -> PackedEvents:
        """Return the events but for those of who was erased."""
        return events if self._gate is None else self._gate.packed(events)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _next(steps: Iterator[Step]) -> Step | None:
    return next(steps, None)
