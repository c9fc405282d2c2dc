"""Customers' states in Redis or Valkey: one string a customer, merged on the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import reduce
from hashlib import sha1
from typing import Any, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import NoScriptError, RedisError

from recsys.errors import Unavailable
from recsys.events import Position, Record
from recsys.state import UserState
from serving.clock import Clock, utc_now
from serving.metrics import Registry, StateMetrics
from serving.state.address import RedisAddress
from serving.state.changes import Change, PackedEvents, changes_of, latest_credible
from serving.state.keys import StateKey, StateKeys
from serving.state.scripts import MERGE, MOVE, REPLACE

_APPLIED_THROUGH = "applied_through"
_FILLING = "filling"
_RECORDS_A_STEP = 65_536
_CUSTOMERS_A_CALL = 128
"""Few enough that a read never waits long behind a bulk write, or behind a long reply."""
_KEYS_A_SCAN = 1_000
_SECONDS_A_DAY = 86_400
_SHAS = {
    script: sha1(script.encode(), usedforsecurity=False).hexdigest()
    for script in (MERGE, MOVE, REPLACE)
}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """How Redis is used.

    read_timeout_ms: after this a read gives up.
    write_timeout_ms: the same for each call that writes.
    connect_timeout_ms: for opening one connection.
    connections: most for reading; writing has a quarter of them, at least two.
    expiry_days: a customer without events for this long is forgotten; >= 1.
    """

    read_timeout_ms: int = 50
    write_timeout_ms: int = 5_000
    connect_timeout_ms: int = 2_000
    connections: int = 16
    expiry_days: int = 400

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, wanted at least 1")


@dataclass(frozen=True, slots=True)
class Swap:
    """One customer's bytes, and others in their place; None for no bytes."""

    key: StateKey
    stored: bytes | None
    wanted: bytes | None


class RedisStateStore:
    """A `StateStore` on one Redis 7.2 or Valkey, within one event loop.

    No call is ever cancelled inside the client: a caller who gives up leaves a task that ends by
    its socket's timeout, so an answer cannot reach the wrong caller and no connection leaks.

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
        self._metrics = metrics or StateMetrics.of(Registry())
        self._settings = settings or RedisSettings()
        self._address = address
        self._keys = keys
        self._clock = clock
        chosen = self._settings
        self._reads = _client(address, chosen, chosen.connections, chosen.read_timeout_ms)
        writers = max(2, chosen.connections // 4)
        self._writes = _client(address, chosen, writers, chosen.write_timeout_ms)
        self._seconds = chosen.expiry_days * _SECONDS_A_DAY
        names = (_APPLIED_THROUGH, _FILLING)
        self._marks = [StateKey(keys.shared(name)) for name in names]
        self._running: set[asyncio.Task[Any]] = set()
        self.incomplete = False

    @property
    def expiry(self) -> timedelta:
        """How long a customer without new events is remembered."""
        return timedelta(days=self._settings.expiry_days)

    async def read(self, keys: Sequence[Sequence[StateKey]]) -> Sequence[UserState]:
        """Return what is known of each query's asker, joined over its keys, in one round trip."""
        wanted = list(dict.fromkeys(key for query in keys for key in query))
        if not wanted:
            return [UserState.unknown() for _ in keys]
        filled, filling, *values = await self.values([*self._marks, *wanted])
        self.incomplete = filled is None or filling is not None
        states = {key: self._state(raw) for key, raw in zip(wanted, values, strict=True)}
        return [_joined([states[key] for key in dict.fromkeys(query)]) for query in keys]

    async def apply(self, records: Sequence[Record]) -> None:
        """Remember the events among appended records; other facts change no customer."""
        for start in range(0, len(records), _RECORDS_A_STEP):
            await self.apply_packed(PackedEvents.of(records[start : start + _RECORDS_A_STEP]))

    async def apply_packed(self, events: PackedEvents) -> None:
        """Remember many events at once; the same as `apply` of their records."""
        latest = latest_credible(self._clock())
        changes = changes_of(events.until(latest), self._keys)
        for first in range(0, len(changes), _CUSTOMERS_A_CALL):
            await self._merge(changes[first : first + _CUSTOMERS_A_CALL], latest)

    async def applied_through(self) -> Position | None:
        """Return the position through which all records are applied; None where none is noted."""
        raw = await self._written(self._writes.get(self._keys.shared(_APPLIED_THROUGH)))
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
        return bool(await self._scripted(MOVE, [key], int(position), wanted))

    async def set_filling(self, filling: bool) -> None:
        """Note that states are being made anew and cannot be relied on, or that they are made."""
        key = self._keys.shared(_FILLING)
        await self._written(self._writes.set(key, 1) if filling else self._writes.delete(key))

    async def values(self, keys: Sequence[StateKey]) -> list[bytes | None]:
        """Return the bytes behind each key, None where there are none."""
        found: list[bytes | None] = []
        for first in range(0, len(keys), _CUSTOMERS_A_CALL):
            work: Awaitable[Any] = self._reads.mget(keys[first : first + _CUSTOMERS_A_CALL])
            found += await self._within(self._settings.read_timeout_ms, work)
        return found

    async def replace(self, swaps: Sequence[Swap]) -> list[bool]:
        """Make each swap whose customer has the stored bytes; return for each whether it was made.

        Of all others nothing is changed.
        """
        made: list[bool] = []
        for first in range(0, len(swaps), _CUSTOMERS_A_CALL):
            some = swaps[first : first + _CUSTOMERS_A_CALL]
            values = (value or b"" for swap in some for value in (swap.stored, swap.wanted))
            keys = [swap.key for swap in some]
            made += map(bool, await self._scripted(REPLACE, keys, self._seconds, *values))
        return made

    async def stored_keys(self) -> AsyncIterator[list[StateKey]]:
        """Yield the keys of all customers, also of older formats, in steps; some perhaps twice."""
        cursor = 0
        while True:
            work: Awaitable[Any] = self._writes.scan(
                cursor, match=self._keys.pattern, count=_KEYS_A_SCAN
            )
            cursor, found = await self._written(work)
            names = (key.decode(errors="replace") for key in found)
            yield [StateKey(name) for name in names if self._keys.is_customer(name)]
            if not cursor:
                return

    async def close(self) -> None:
        """Give every connection back, after what is under way has ended."""
        if self._running:
            await asyncio.wait(self._running, timeout=self._settings.write_timeout_ms / 1_000)
        for client in (self._reads, self._writes):
            await client.aclose(close_connection_pool=True)

    async def _merge(self, changes: Sequence[Change], latest: int) -> None:
        keys, entries = zip(*((one.key, one.entries) for one in changes), strict=True)
        await self._scripted(MERGE, keys, self._seconds, latest, *entries)

    async def _scripted(
        self, script: str, keys: Sequence[str], *arguments: bytes | int | str
    ) -> Any:
        """Return what a script answers; a server that does not know it yet is told it."""
        try:
            return await self._written(
                self._writes.evalsha(_SHAS[script], len(keys), *keys, *arguments)
            )
        except NoScriptError:  # it started anew; what is sent twice counts once
            return await self._written(self._writes.eval(script, len(keys), *keys, *arguments))

    async def _written(self, work: Awaitable[T]) -> T:
        return await self._within(self._settings.write_timeout_ms, work)

    async def _within(self, timeout_ms: int, work: Awaitable[T]) -> T:
        """Return the work's result, or raise Unavailable; never cancel the work itself."""
        task = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        await asyncio.wait({task}, timeout=timeout_ms / 1_000)
        if not task.done():
            raise self._unavailable(f"no answer within {timeout_ms} ms")
        try:
            return task.result()
        except NoScriptError:
            raise
        except (RedisError, OSError, TimeoutError) as error:
            raise self._unavailable(f"{type(error).__name__}: {error}") from error

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # seen, also where nobody waits any more

    def _unavailable(self, cause: str) -> Unavailable:
        message = f"Redis at {self._address.shown} cannot be used ({cause}); check that it runs"
        return Unavailable(message, reason="STATE_UNAVAILABLE", metadata={"cause": cause})

    def _state(self, raw: bytes | None) -> UserState:
        if raw is None:
            return UserState.unknown()
        try:
            return UserState.from_bytes(raw)
        except ValueError:
            self._metrics.damaged.inc()
            return UserState.unknown()


def _joined(states: Sequence[UserState]) -> UserState:
    """Return what is known under all ids, as of one customer."""
    known = [state for state in states if state]
    return reduce(UserState.joined, known) if known else UserState.unknown()


def _client(
    address: RedisAddress, settings: RedisSettings, connections: int, timeout_ms: int
) -> Redis:
    pool = BlockingConnectionPool.from_url(
        address.url,
        max_connections=connections,
        timeout=timeout_ms / 1_000,
        socket_timeout=timeout_ms / 1_000,
        socket_connect_timeout=settings.connect_timeout_ms / 1_000,
        retry=Retry(NoBackoff(), 1, supported_errors=(ConnectionLost,)),
        protocol=2,
    )
    return Redis(connection_pool=pool)
