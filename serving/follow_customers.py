"""Following customers: what they say counts in the next answer, whatever becomes of the store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Protocol

import structlog

from recsys.errors import Unavailable
from recsys.events import Position
from serving.log.customer_register import Touched
from serving.state.errands import NO_ERRAND, Errand, Found
from serving.state.keys import StateKey, StateKeys, hash_in
from serving.state.profiles import Known
from serving.state.recent import Change, Changes, RecentChanges

log = structlog.get_logger("serving.follow")

STEP = 1_000
"""Most changes taken at once."""
SETTLED_LOOKS = 3
"""Looks after which every worker has seen a change."""
FRESH_S = 1.0
"""Seconds after a look for which it counts, at least; without it nothing is told of anybody."""
_LOOKS = 10
_FORGET_EVERY_S = 2.0


class TouchedRegister(Protocol):
    """What tells who changed; used by one thread at a time. Raises Unavailable."""

    def last_position(self) -> Position:
        """Return the highest position ever given."""

    def touched(self, after: Position, through: Position, limit: int) -> list[Touched]:
        """Return the links and consents changed in (after, through], at most so many."""

    def close(self) -> None:
        """Let the file go."""


class KnownStore(Protocol):
    """The store of states as answers read it. Both methods raise Unavailable."""

    incomplete: bool

    def find(
        self, keys: Sequence[Sequence[StateKey]], errand: Errand, changes: Changes
    ) -> Awaitable[Found]:
        """Return what may be used of each asker, held against what changed, and run an errand."""
        ...

    async def applied_through(self) -> Position | None:
        """Return the position through which all records are applied; None where none is noted."""
        ...


class CustomerFollower:
    """Knows who changed lately, by the log; a `StateReader` whose answers are held against that.

    A store that was away, or that came back as it was before, may not know of a refusal that was
    acknowledged. Whoever it is about is nobody until the store has it, and all are where it cannot
    be told who it is about; everybody else is known as ever.

    register: opens the register; asked again after a failure.
    incomplete: whether what was read last may lack events that were acknowledged.
    """

    def __init__(
        self,
        store: KnownStore,
        keys: StateKeys,
        register: Callable[[], TouchedRegister],
        *,
        interval_s: float,
    ) -> None:
        self._store = store
        self._keys = keys
        self._open_register = register
        self._interval_s = interval_s
        self.incomplete = False
        self._changes = RecentChanges(time.monotonic, fresh_s=max(FRESH_S, _LOOKS * interval_s))
        self._followed = Position(0)
        self._register: TouchedRegister | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="customers")
        self._failing = False

    async def known(self, keys: Sequence[Sequence[StateKey]]) -> Sequence[Known]:
        """Return what may be used of each query's asker. Raises Unavailable."""
        return (await self.find(keys, NO_ERRAND)).known

    async def find(self, keys: Sequence[Sequence[StateKey]], errand: Errand) -> Found:
        """Return what may be used of each query's asker, and run an errand. Raises Unavailable."""
        found = await self._store.find(keys, errand, self._changes)
        self.incomplete = self._store.incomplete
        return found

    async def look(self) -> None:
        """Take in who changed; a store or a log that cannot be read is asked again next time."""
        try:
            if not self._changes.begun:
                self._begin(await self._store.applied_through() or Position(0))
            await self._take_in()
        except Unavailable as error:
            if not self._failing:
                log.warning("customers not followed", reason=error.reason)
            self._failing = True
        else:
            self._failing = False

    async def keep_looking(self) -> None:
        """Take in who changes, for good, and forget what the store has for certain."""
        forgot_at = time.monotonic()
        while True:
            await asyncio.sleep(self._interval_s)
            await self.look()
            if time.monotonic() - forgot_at >= _FORGET_EVERY_S:
                forgot_at = time.monotonic()
                with suppress(Unavailable):
                    self._changes.forget(await self._store.applied_through() or Position(0))

    async def close(self) -> None:
        """Let the register go."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._let_go)
        self._thread.shutdown()

    def _begin(self, applied: Position) -> None:
        self._followed = applied
        self._changes.begin(applied)

    async def _take_in(self) -> None:
        run = asyncio.get_running_loop().run_in_executor
        more = True
        while more:
            looked_at = time.monotonic()
            changes, through, more = await run(self._thread, self._behind, self._followed)
            self._changes.take(changes)
            self._followed = through
        self._changes.looked(looked_at)

    def _behind(self, after: Position) -> tuple[list[Change], Position, bool]:
        """Return at most a step of changes, how far they go, and whether more wait."""
        try:
            if self._register is None:
                self._register = self._open_register()
            last = self._register.last_position()
            found = self._register.touched(after, last, STEP)
        except Unavailable:
            self._let_go()
            raise
        more = len(found) == STEP
        changes = [
            Change(one.position, [hash_in(self._keys.of(who)) for who in one.identifiers])
            for one in found
        ]
        return changes, found[-1].position if more else max(last, after), more

    def _let_go(self) -> None:
        if self._register is not None:
            register, self._register = self._register, None
            register.close()
