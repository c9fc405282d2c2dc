"""Rebuild: every customer's state is compared with what log and lake say, and put right."""

from __future__ import annotations

import asyncio
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import compress
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from recsys.events import Position
from recsys.state import ENTRY, HEADER, UserState
from serving.lake.by_customer import PastCustomer, PastCustomers
from serving.lake.newer import NewerEvents
from serving.lake.spill import spill_folder
from serving.log.records import microseconds
from serving.rebuild_profiles import ProfileFindings, ProfileRebuild
from serving.settings import ServingSettings
from serving.standing_in import JobState, Told, state_for_job
from serving.state.changes import joined, latest_credible
from serving.state.keys import StateKey
from serving.state.redis_store import Swap

_CUSTOMERS_A_STEP = 512
_NOTHING = UserState.unknown().to_bytes()

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Findings:
    """What a rebuild met.

    customers: those with events. right: of them, whose state was as log and lake say.
    repaired: the others. missing, wrong: entries that these lacked, and entries that they had
    though no event is behind them. removed: states of whom no event tells, and of older formats.
    profiles: the same of links and consents.
    """

    customers: int = 0
    right: int = 0
    repaired: int = 0
    missing: int = 0
    wrong: int = 0
    removed: int = 0
    profiles: ProfileFindings = field(default_factory=ProfileFindings)

    @property
    def clean(self) -> bool:
        """Whether everything was as it should be."""
        return self.profiles.clean and not (self.repaired or self.removed)


@dataclass(frozen=True, slots=True)
class Expected:
    """One customer by the events of the lake.

    may_be_gone: whether the newest of them is so old that the customer may have expired.
    """

    key: StateKey
    state: bytes
    may_be_gone: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """A state that is not as expected.

    swap: what would put it right. late: what came that the store may not have been given yet.
    """

    expected: Expected
    swap: Swap
    late: bytes | None

    @property
    def excused(self) -> bool:
        """Whether the customer has expired, or only lacks what came late."""
        gone = self.swap.stored is None and self.expected.may_be_gone
        return gone or (self.late is not None and self._in_time == self.swap.wanted)

    @property
    def missing(self) -> int:
        """How many entries the state lacks."""
        return len(_entries(self.swap.wanted) - _entries(self._in_time))

    @property
    def wrong(self) -> int:
        """How many entries it has without an event behind them."""
        return len(_entries(_held(self.swap.stored)) - _entries(self.swap.wanted))

    @property
    def _in_time(self) -> bytes:
        return _with(_held(self.swap.stored), self.late)


async def rebuild_state(
    settings: ServingSettings, now: datetime, told: Told, *, only_look: bool
) -> Findings:
    """Compare all customers' states with their events, repair them unless `only_look`.

    Beside a running server, or without one: then, if it may repair, it first does what a server
    does at its start. Raises Unavailable when store, log or lake cannot be used.
    """
    async with state_for_job(settings) as state:
        if not (state.alone and only_look):
            await state.bring_up_to_date(told)
        async with ProfileRebuild(settings.log_file, state, only_look=only_look) as profiles:
            of_profiles = await profiles.run()
        async with Rebuild(settings, state, now, only_look=only_look) as rebuild:
            return replace(await rebuild.run(told), profiles=of_profiles)


class Rebuild:
    """Compares the states of all customers, once.

    Events are read after the state they are compared with, so what stands there without one is
    wrong for certain; a state that changes between look and repair is looked at again. Events that
    a server has not yet noted as applied are no fault. Memory holds 8 bytes a customer, and the
    events that came since the newest of the lake.
    """

    def __init__(
        self, settings: ServingSettings, state: JobState, now: datetime, *, only_look: bool
    ) -> None:
        self._settings = settings
        self._state = state
        self._store = state.store
        self._only_look = only_look
        self._latest = latest_credible(now)
        self._expired = microseconds(now - state.store.expiry)
        self._found: Counter[str] = Counter()
        self._known = array("Q")
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rebuild")
        newer = (settings.log_file, settings.lake_folder, state.keys, self._latest)
        self._newer = self._thread.submit(NewerEvents, *newer).result()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._in_thread(self._newer.close)
        self._thread.shutdown()

    async def run(self, told: Told) -> Findings:
        """Look at every customer, and then for states of nobody; return what was met."""
        certain = await self._certain()
        base = await self._in_thread(lambda: self._newer.begin(certain))
        with spill_folder(self._settings.data_folder) as spill:
            past = PastCustomers(
                self._settings.lake_folder, base, latest=self._latest, spill_folder=spill
            )
            await self._compare_past(past, told)
        await self._compare_new()
        await self._remove_strangers(told)
        return Findings(**self._found)  # type: ignore[arg-type]  # numbers alone

    async def _compare_past(self, past: PastCustomers, told: Told) -> None:
        """Compare all customers of the lake."""
        n_events, done = await self._in_thread(past.count_events), 0
        steps = past.in_steps()
        while (customers := await self._in_thread(lambda: next(steps, None))) is not None:
            for some in _sliced(customers):
                await self._compare([self._expected(one) for one in some])
                done += sum(one.n_events for one in some)
                told("comparing customers by their events", done, n_events)

    def _expected(self, one: PastCustomer) -> Expected:
        key = self._state.keys.customer(*one.owner)
        return Expected(key, one.state, one.received < self._expired)

    async def _compare_new(self) -> None:
        """Compare the customers whose first event is newer than the lake."""
        certain = await self._certain()
        newer = await self._in_thread(lambda: self._newer.advance(certain))
        for keys in _sliced(self._strangers(list(newer), self._sorted())):
            await self._compare([Expected(key, _NOTHING) for key in keys])

    async def _compare(self, expected: Sequence[Expected]) -> None:
        """Compare these customers, again and again those that change meanwhile."""
        self._known.extend(_number(one.key) for one in expected)
        self._found["customers"] += len(expected)
        while expected:
            expected = await self._unsettled(expected)

    async def _unsettled(self, expected: Sequence[Expected]) -> list[Expected]:
        """Compare these customers; return those that changed between the look and the repair."""
        certain = await self._certain()
        stored = await self._store.values([one.key for one in expected])
        newer = await self._in_thread(lambda: self._newer.advance(certain))
        exact = [_with(one.state, newer.get(one.key)) for one in expected]
        looks = zip(expected, stored, exact, strict=True)
        differing = [look for look in looks if look[1] != look[2]]
        self._found["right"] += len(expected) - len(differing)
        if not differing:
            return []
        late = await self._in_thread(self._newer.pending)
        faults = [
            Fault(one, Swap(one.key, raw, _with(state, late.get(one.key))), late.get(one.key))
            for one, raw, state in differing
        ]
        wrong = [fault for fault in faults if not fault.excused]
        self._found["right"] += len(faults) - len(wrong)
        made = await self._repaired([fault.swap for fault in wrong])
        for fault in compress(wrong, made):
            self._found.update(repaired=1, missing=fault.missing, wrong=fault.wrong)
        return [fault.expected for fault, done in zip(wrong, made, strict=True) if not done]

    async def _repaired(self, swaps: Sequence[Swap]) -> list[bool]:
        """Return of each customer whether they did not change meanwhile, and so are repaired."""
        return [True] * len(swaps) if self._only_look else await self._store.replace(swaps)

    async def _remove_strangers(self, told: Told) -> None:
        """Remove states of whom no event tells, and what older formats left behind."""
        known, seen = self._sorted(), 0
        removed: set[StateKey] = set()
        async for keys in self._store.stored_keys():
            strange = self._strangers(keys, known)
            if strange:
                removed |= await self._removed(strange)
            seen += len(keys)
            told("looking for states of nobody", seen, max(seen, len(known)))
        self._found["removed"] = len(removed)

    async def _removed(self, strange: Sequence[StateKey]) -> set[StateKey]:
        stored = await self._store.values(strange)
        newer = await self._in_thread(self._newer.advance)
        looks = zip(strange, stored, strict=True)
        gone = {key: Swap(key, raw, None) for key, raw in looks if key not in newer}
        return set(compress(gone, await self._repaired(list(gone.values()))))

    async def _certain(self) -> Position:
        """Return the position up to which the store has surely been given every event.

        That is all of them where no server is there to apply the newest, or the store has lost
        what it was given.
        """
        applied = None if self._state.alone else await self._store.applied_through()
        return await self._in_thread(self._newer.last_position) if applied is None else applied

    def _strangers(self, keys: Sequence[StateKey], known: NDArray[np.uint64]) -> list[StateKey]:
        """Return the keys of customers that were not compared; an older format's never are."""
        present = self._state.keys.shared("")
        numbers = np.array([_number(key) for key in keys], dtype=np.uint64)
        met = np.isin(numbers, known, kind="sort").tolist()
        return [k for k, m in zip(keys, met, strict=True) if not (m and k.startswith(present))]

    def _sorted(self) -> NDArray[np.uint64]:
        return np.unique(np.array(self._known, dtype=np.uint64))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _sliced(some: Sequence[T]) -> Iterator[Sequence[T]]:
    return (some[n : n + _CUSTOMERS_A_STEP] for n in range(0, len(some), _CUSTOMERS_A_STEP))


def _number(key: StateKey) -> int:
    """Return the first 64 bits of the hash in a key; that two share them is all but impossible."""
    return int(key[-33:-17], 16)


def _with(state: bytes, more: bytes | None) -> bytes:
    return joined(state, more) if more else state


def _held(stored: bytes | None) -> bytes:
    """Return what stands there, nothing where it is no state."""
    try:
        UserState.from_bytes(stored or b"")
    except ValueError:
        return _NOTHING
    return stored or _NOTHING


def _entries(state: bytes | None) -> set[bytes]:
    width, state = ENTRY.itemsize, state or _NOTHING
    return {state[n : n + width] for n in range(HEADER.size, len(state), width)}
