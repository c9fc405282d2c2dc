"""Customers' states in Redis or Valkey: one string a customer, merged on the server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, TypeVar

from recsys.customers import ALLOWED_UNLESS_REFUSED, Purpose
from recsys.events import Position, Record
from recsys.state import UserState
from serving.clock import Clock, utc_now
from serving.log.customer_register import CustomerProfile
from serving.metrics import Registry, StateMetrics
from serving.state.address import RedisAddress
from serving.state.changes import Change, PackedEvents, changes_of, latest_credible
from serving.state.errands import NO_ERRAND, Errand, Found
from serving.state.keys import ProfileKey, StateKey, StateKeys
from serving.state.known_reads import KnownReads
from serving.state.profiles import Known, joined_states, profiles_kept
from serving.state.recent import NO_CHANGES, Changes
from serving.state.redis_calls import CUSTOMERS_A_CALL, RedisCalls
from serving.state.scripts import KEEP_NEWEST, MERGE, MOVE, REPLACE
from serving.state.store import Marks, Missing

_APPLIED_THROUGH = "applied_through"
_FILLING = "filling"
_RECORDS_A_STEP = 65_536
_KEYS_A_SCAN = 1_000
_SECONDS_A_DAY = 86_400

Key = TypeVar("Key", StateKey, ProfileKey)
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """How Redis is used.

    read_timeout_ms: after this a read gives up.
    write_timeout_ms: the same for each call that writes.
    connect_timeout_ms: for opening one connection.
    connections: most for reading; writing has a quarter of them, at least two.
    expiry_days: a customer without events for this long is forgotten; >= 1.
    list_expiry_s: a list that was answered is kept for this long; >= 1.
    unless_stated: purposes that whoever said nothing about them allows.
    """

    read_timeout_ms: int = 50
    write_timeout_ms: int = 5_000
    connect_timeout_ms: int = 2_000
    connections: int = 16
    expiry_days: int = 400
    list_expiry_s: int = 1_800
    unless_stated: frozenset[Purpose] = ALLOWED_UNLESS_REFUSED

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if isinstance(value, int) and value < 1:
                raise ValueError(f"{name} is {value}, wanted at least 1")


@dataclass(frozen=True, slots=True)
class Swap:
    """The bytes behind one key, and others in their place; None for no bytes."""

    key: StateKey | ProfileKey
    stored: bytes | None
    wanted: bytes | None


class RedisStateStore:
    """A `StateStore` on one Redis 7.2 or Valkey, within one event loop.

    incomplete: whether the store said at the last read that it has lost customers, or is being
        filled anew.
    """

    def __init__(
        self,
        address: RedisAddress,
        keys: StateKeys,
        settings: RedisSettings | None = None,
        *,
        clock: Clock = utc_now,
        metrics: StateMetrics | None = None,
    ) -> None:
        self._settings = settings or RedisSettings()
        self._address = address
        self._keys = keys
        self._clock = clock
        self._metrics = metrics or StateMetrics.of(Registry())
        self._calls = RedisCalls(address, self._settings)
        self._writes = self._calls.writes
        self._seconds = self._settings.expiry_days * _SECONDS_A_DAY
        self._marks = [keys.shared(name) for name in (_APPLIED_THROUGH, _FILLING)]
        self._reads = KnownReads(
            self._calls,
            keys,
            self._marks,
            self._settings.unless_stated,
            self._settings.list_expiry_s,
            self._metrics,
        )
        self.incomplete = False

    @property
    def expiry(self) -> timedelta:
        """How long a customer without new events is remembered."""
        return timedelta(days=self._settings.expiry_days)

    async def read(self, keys: Sequence[Sequence[StateKey]]) -> Sequence[UserState]:
        """Return what is known under each customer's keys, joined, in one round trip."""
        wanted = list(dict.fromkeys(key for customer in keys for key in customer))
        if not wanted:
            return [UserState.unknown() for _ in keys]
        applied, missing, *values = await self._calls.values([*self._marks, *wanted])
        self.incomplete = Marks.of(applied, missing).incomplete
        states = dict(zip(wanted, map(self._reads.state, values), strict=True))
        return [joined_states(states[key] for key in dict.fromkeys(some)) for some in keys]

    async def known(
        self, keys: Sequence[Sequence[StateKey]], changes: Changes = NO_CHANGES
    ) -> Sequence[Known]:
        """Return what may be used of each asker, over all that is linked with them.

        changes: of customers, which the store may not have; whoever they are about is nobody.
        """
        return (await self.find(keys, NO_ERRAND, changes)).known

    async def find(
        self, keys: Sequence[Sequence[StateKey]], errand: Errand, changes: Changes = NO_CHANGES
    ) -> Found:
        """Return what may be used of each asker, and the lists that are wanted.

        In one round trip, for as many askers as one call takes. changes: as of `known`.
        """
        found, incomplete = await self._reads.find(keys, errand, changes)
        if incomplete is not None:
            self.incomplete = incomplete
        return found

    async def apply(self, records: Sequence[Record]) -> None:
        """Remember the events among appended records; other facts change no customer."""
        for start in range(0, len(records), _RECORDS_A_STEP):
            await self.apply_packed(PackedEvents.of(records[start : start + _RECORDS_A_STEP]))

    async def apply_packed(self, events: PackedEvents) -> None:
        """Remember many events at once; the same as `apply` of their records."""
        latest = latest_credible(self._clock())
        changes = changes_of(events.until(latest), self._keys)
        for some in _sliced(changes):
            await self._merge(some, latest)

    async def apply_profiles(self, profiles: Sequence[CustomerProfile]) -> None:
        """Remember profiles under every identifier of each customer; a newer one stays."""
        values = [pair for profile in profiles for pair in profiles_kept(profile, self._keys)]
        for some in _sliced(values):
            keys, news = zip(*some, strict=True)
            await self._calls.scripted(KEEP_NEWEST, keys, *news)

    async def applied_through(self) -> Position | None:
        """Return the position through which all records are applied; None where none is noted."""
        raw = await self._calls.written(self._writes.get(self._keys.shared(_APPLIED_THROUGH)))
        return None if raw is None else Position(int(raw))

    async def set_applied_through(self, position: Position, expected: Position | None) -> bool:
        """Note that every record up to this position is applied, and return True.

        Returns False, and notes nothing, where not `expected` but another position, or none, is
        noted. Raises ValueError for a step back.
        """
        if expected is not None and position < expected:
            raise ValueError(f"a step back from position {expected} to {position}")
        key = self._keys.shared(_APPLIED_THROUGH)
        wanted = "" if expected is None else int(expected)
        return bool(await self._calls.scripted(MOVE, [key], int(position), wanted))

    async def set_missing(self, missing: Missing | None) -> None:
        """Note what is being made anew and cannot be relied on, or that all of it is there."""
        key = self._keys.shared(_FILLING)
        done = self._writes.delete(key) if missing is None else self._writes.set(key, missing.value)
        await self._calls.written(done)

    async def values(self, keys: Sequence[StateKey | ProfileKey]) -> list[bytes | None]:
        """Return the bytes behind each key, None where there are none."""
        return await self._calls.values(keys)

    async def replace(self, swaps: Sequence[Swap], *, forever: bool = False) -> list[bool]:
        """Make each swap whose key has the stored bytes; return for each whether it was made.

        Of all others nothing is changed. forever: whether what is written never expires.
        """
        made: list[bool] = []
        for some in _sliced(swaps):
            values = (value or b"" for swap in some for value in (swap.stored, swap.wanted))
            keys = [swap.key for swap in some]
            seconds = 0 if forever else self._seconds
            made += map(bool, await self._calls.scripted(REPLACE, keys, seconds, *values))
        return made

    def stored_keys(self) -> AsyncIterator[list[StateKey]]:
        """Yield the keys of all customers, also of older formats, in steps; some perhaps twice."""
        return self._scanned(self._keys.pattern, self._keys.is_customer, StateKey)

    def stored_profiles(self) -> AsyncIterator[list[ProfileKey]]:
        """Yield the keys of all profiles, also of older formats, in steps; some perhaps twice."""
        return self._scanned(self._keys.profile_pattern, self._keys.is_profile, ProfileKey)

    async def close(self) -> None:
        """Give every connection back, after what is under way has ended."""
        await self._calls.close()

    async def _merge(self, changes: Sequence[Change], latest: int) -> None:
        keys, entries = zip(*((one.key, one.entries) for one in changes), strict=True)
        await self._calls.scripted(MERGE, keys, self._seconds, latest, *entries)

    async def _scanned(
        self, pattern: str, wanted: Callable[[str], bool], key_of: Callable[[str], Key]
    ) -> AsyncIterator[list[Key]]:
        cursor = 0
        while True:
            work: Awaitable[Any] = self._writes.scan(cursor, match=pattern, count=_KEYS_A_SCAN)
            cursor, found = await self._calls.written(work)
            names = (key.decode(errors="replace") for key in found)
            yield [key_of(name) for name in names if wanted(name)]
            if not cursor:
                return


def _sliced(some: Sequence[Value]) -> list[Sequence[Value]]:
    return [some[n : n + CUSTOMERS_A_CALL] for n in range(0, len(some), CUSTOMERS_A_CALL)]
