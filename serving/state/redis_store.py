"""Customers' states in Redis or Valkey: one hash a customer, merged on the server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from functools import reduce
from hashlib import sha1
from typing import Any, TypeVar

import numpy as np
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import NoScriptError, RedisError

from recsys.arrays import frozen
from recsys.errors import Unavailable
from recsys.events import Position, Record
from recsys.state import ENTRY, FACETS, Entries, UserState, no_entries
from serving.state.address import RedisAddress
from serving.state.changes import Change, PackedEvents, changes_of, changes_of_packed
from serving.state.keys import StateKey, StateKeys
from serving.state.scripts import MERGE

_FIELDS = tuple(facet.name for facet in FACETS)
_MERGE_SHA = sha1(MERGE.encode(), usedforsecurity=False).hexdigest()
_APPLIED_THROUGH = "applied_through"
_RECORDS_A_STEP = 65_536
_CUSTOMERS_A_PIPELINE = 64
"""Few enough that a read never waits long behind a bulk write."""
_SECONDS_A_DAY = 86_400

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """How Redis is used.

    read_timeout_ms: after this a read gives up.
    write_timeout_ms: the same for each pipeline of writes and for `ping`.
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


class RedisStateStore:
    """A `StateStore` on one Redis 7.2 or Valkey, within one event loop.

    No call is ever cancelled inside the client: a caller who gives up leaves a task that ends by
    its socket's timeout, so an answer cannot reach the wrong caller and no connection leaks.

    damaged_facets: facets read so far whose bytes were no entries; they count as empty.
    """

    def __init__(
        self, address: RedisAddress, keys: StateKeys, settings: RedisSettings | None = None
    ) -> None:
        self._settings = settings or RedisSettings()
        self._address = address
        self._keys = keys
        chosen = self._settings
        self._reads = _client(address, chosen, chosen.connections, chosen.read_timeout_ms)
        writers = max(2, chosen.connections // 4)
        self._writes = _client(address, chosen, writers, chosen.write_timeout_ms)
        self._running: set[asyncio.Task[Any]] = set()
        self.damaged_facets = 0

    async def read(self, keys: Sequence[Sequence[StateKey]]) -> Sequence[UserState]:
        """Return what is known of each query's asker, joined over its keys, in one round trip."""
        wanted = list(dict.fromkeys(key for query in keys for key in query))
        if not wanted:
            return [UserState.unknown() for _ in keys]
        pipeline = self._reads.pipeline(transaction=False)
        for key in wanted:
            pipeline.hmget(key, *_FIELDS)
        replies = await self._within(self._settings.read_timeout_ms, _executed(pipeline))
        states = {key: self._state(raw) for key, raw in zip(wanted, replies, strict=True)}
        return [_joined([states[key] for key in dict.fromkeys(query)]) for query in keys]

    async def apply(self, records: Sequence[Record]) -> None:
        """Remember the events among appended records; other facts change no customer."""
        for start in range(0, len(records), _RECORDS_A_STEP):
            await self._merge_all(changes_of(records[start : start + _RECORDS_A_STEP], self._keys))

    async def apply_packed(self, events: PackedEvents) -> None:
        """Remember many events at once; the same as `apply` of their records."""
        await self._merge_all(changes_of_packed(events, self._keys))

    async def applied_through(self) -> Position | None:
        """Return the position through which all records are applied; None where none is noted."""
        work = self._writes.get(self._keys.shared(_APPLIED_THROUGH))
        raw = await self._within(self._settings.write_timeout_ms, work)
        return None if raw is None else Position(int(raw))

    async def set_applied_through(self, position: Position) -> None:
        """Note that every record up to this position is applied."""
        key = self._keys.shared(_APPLIED_THROUGH)
        work = self._writes.set(key, int(position))
        await self._within(self._settings.write_timeout_ms, work)

    async def ping(self) -> None:
        """Return when Redis answers."""
        work = self._writes.ping()
        await self._within(self._settings.write_timeout_ms, work)

    async def close(self) -> None:
        """Give every connection back, after what is under way has ended."""
        if self._running:
            await asyncio.wait(self._running, timeout=self._settings.write_timeout_ms / 1_000)
        for client in (self._reads, self._writes):
            await client.aclose(close_connection_pool=True)

    async def _merge_all(self, changes: Sequence[Change]) -> None:
        for first in range(0, len(changes), _CUSTOMERS_A_PIPELINE):
            await self._merge(changes[first : first + _CUSTOMERS_A_PIPELINE])

    async def _merge(self, changes: Sequence[Change]) -> None:
        timeout_ms = self._settings.write_timeout_ms
        try:
            await self._within(timeout_ms, _executed(self._merging(changes)))
        except NoScriptError:  # a server that started anew; merging twice changes nothing
            await self._within(timeout_ms, self._writes.script_load(MERGE))
            await self._within(timeout_ms, _executed(self._merging(changes)))

    def _merging(self, changes: Sequence[Change]) -> Pipeline:
        pipeline = self._writes.pipeline(transaction=False)
        seconds = self._settings.expiry_days * _SECONDS_A_DAY
        for change in changes:
            parts = ((facet.name, facet.limit, raw) for facet, raw in change.entries)
            flat = (argument for part in parts for argument in part)
            pipeline.evalsha(_MERGE_SHA, 1, change.key, seconds, *flat)
        return pipeline

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

    def _state(self, fields: Sequence[bytes | None]) -> UserState:
        return UserState(*(self._entries(raw) for raw in fields))

    def _entries(self, raw: bytes | None) -> Entries:
        if not raw:
            return no_entries()
        if len(raw) % ENTRY.itemsize:
            self.damaged_facets += 1
            return no_entries()
        return frozen(np.frombuffer(raw, dtype=ENTRY))


async def _executed(pipeline: Pipeline) -> list[Any]:
    """Return the replies, or raise the first error among them, without the command's payload."""
    replies = await pipeline.execute(raise_on_error=False)
    for reply in replies:
        if isinstance(reply, RedisError):
            raise reply
    return replies


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
