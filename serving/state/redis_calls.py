"""Calls to one Redis or Valkey, each under a timeout, and none ever cancelled inside the client."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from hashlib import sha1
from typing import TYPE_CHECKING, Any, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import NoScriptError, RedisError

from recsys.errors import Unavailable
from serving.state.address import RedisAddress
from serving.state.scripts import FIND, KEEP_NEWEST, MERGE, MOVE, REPLACE

if TYPE_CHECKING:
    from serving.state.redis_store import RedisSettings

CUSTOMERS_A_CALL = 128
"""Few enough that a read never waits long behind a bulk write, or behind a long reply."""

_KEYS_A_CALL = 2 * CUSTOMERS_A_CALL
_SHAS = {
    script: sha1(script.encode(), usedforsecurity=False).hexdigest()
    for script in (MERGE, MOVE, REPLACE, KEEP_NEWEST, FIND)
}

T = TypeVar("T")


class RedisCalls:
    """One server, within one event loop. Every call but `close` raises Unavailable.

    A caller who gives up leaves a task that ends by its socket's timeout, so an answer cannot
    reach the wrong caller and no connection leaks.

    writes: the client for whatever changes something, for use inside `written`.
    """

    def __init__(self, address: RedisAddress, settings: RedisSettings) -> None:
        self._address = address
        self._settings = settings
        self._reads = _client(address, settings, settings.connections, settings.read_timeout_ms)
        writers = max(2, settings.connections // 4)
        self.writes = _client(address, settings, writers, settings.write_timeout_ms)
        self._running: set[asyncio.Task[Any]] = set()

    async def values(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the bytes behind each key, None where there are none."""
        found: list[bytes | None] = []
        for first in range(0, len(keys), _KEYS_A_CALL):
            work: Awaitable[Any] = self._reads.mget(keys[first : first + _KEYS_A_CALL])
            found += await self._within(self._settings.read_timeout_ms, work)
        return found

    async def found(self, script: str, keys: Sequence[str], *arguments: bytes | int | str) -> Any:
        """Return what a script finds, as `scripted`, but under the timeout for reading."""
        timeout_ms, asked = self._settings.read_timeout_ms, (*keys, *arguments)
        try:
            work: Awaitable[Any] = self._reads.evalsha(_SHAS[script], len(keys), *asked)
            return await self._within(timeout_ms, work)
        except NoScriptError:
            return await self._within(timeout_ms, self._reads.eval(script, len(keys), *asked))

    async def scripted(
        self, script: str, keys: Sequence[str], *arguments: bytes | int | str
    ) -> Any:
        """Return what a script answers; a server that does not know it yet is told it."""
        try:
            return await self.written(
                self.writes.evalsha(_SHAS[script], len(keys), *keys, *arguments)
            )
        except NoScriptError:  # it started anew; what is sent twice counts once
            return await self.written(self.writes.eval(script, len(keys), *keys, *arguments))

    async def written(self, work: Awaitable[T]) -> T:
        """Return what a call of `writes` gives, under the timeout for writing."""
        return await self._within(self._settings.write_timeout_ms, work)

    async def close(self) -> None:
        """Give every connection back, after what is under way has ended."""
        if self._running:
            await asyncio.wait(self._running, timeout=self._settings.write_timeout_ms / 1_000)
        for client in (self._reads, self.writes):
            await client.aclose(close_connection_pool=True)

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
