"""Customers leave Redis: their states and profiles, and what its files still hold of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from recsys.errors import Unavailable
from recsys.state import UserState
from serving.erasure.ledger import Entry
from serving.state.address import RedisAddress
from serving.state.keys import FORMAT, ProfileKey, StateKey, StateKeys, profile_key
from serving.state.profiles import StoredProfile
from serving.state.redis_store import RedisStateStore, Swap

ERASED_THROUGH = "erased_through"
_LONGEST_REWRITE_S = 240.0
_LOOK_EVERY_S = 0.1
_ANSWER_S = 10.0
_MOST_TRIES = 20

_Wanted = Callable[[bytes], bytes | None]
"""Returns what is to stand in a value's place; None for nothing."""


class StateErasing:
    """Takes customers out of one Redis or Valkey. Every method raises Unavailable."""

    def __init__(self, store: RedisStateStore, address: RedisAddress, keys: StateKeys) -> None:
        self._store = store
        self._address = address
        self._keys = keys
        self._mark = keys.shared(ERASED_THROUGH)

    async def done(self) -> int:
        """Return the number of the newest erasure that this server has seen, 0 for none."""
        async with self._client() as client:
            return int(await self._asked(client.get(self._mark)) or 0)

    async def note(self, number: int) -> None:
        """Note that an erasure, and all before it, are through."""
        async with self._client() as client:
            await self._asked(client.set(self._mark, number))

    async def forget(self, entries: Sequence[Entry], *, all_of_it: bool) -> dict[str, int]:
        """Take out states and profiles; return how many by erasure id.

        all_of_it: nobody new can have come under these ids yet; else what happened after an
        erasure stays, as it is another customer's.
        """
        removed: dict[str, int] = {}
        for entry in entries:
            swapped = 0
            for hashed in entry.hashes:
                swapped += await self._forget(bytes.fromhex(hashed), entry, all_of_it=all_of_it)
            removed[entry.erasure_id] = swapped
        return removed

    async def rewrite_files(self) -> bool:
        """Return once the server's files hold nothing that it does not; False where it keeps none.

        The append-only file is a history: what was deleted is in it until it is written anew.
        """
        async with self._client() as client:
            told = await self._asked(client.info("persistence"))
            if told.get("aof_enabled"):
                await self._started(client, "aof_rewrite_in_progress", "bgrewriteaof")
                await self._ended(client, "aof_rewrite", "aof_last_bgrewrite_status")
                return True
            saved = await self._asked(client.config_get("save"))
            if saved.get("save"):
                await self._started(client, "rdb_bgsave_in_progress", "bgsave")
                await self._ended(client, "rdb_bgsave", "rdb_last_bgsave_status")
                return True
        return False

    async def _forget(self, hashed: bytes, entry: Entry, *, all_of_it: bool) -> int:
        state, *older = _state_keys(self._keys, hashed)

        def newer(raw: bytes) -> bytes | None:
            return None if all_of_it else _since(raw, entry.second)

        def newer_profile(raw: bytes) -> bytes | None:
            return None if all_of_it else _stated_since(raw, entry)

        swapped = await self._swapped([state], newer)
        swapped += await self._swapped([profile_key(state)], newer_profile)
        stale: list[StateKey | ProfileKey] = [*older, *map(profile_key, older)]
        return swapped + await self._swapped(stale, _nothing)

    async def _swapped(self, keys: Sequence[StateKey | ProfileKey], wanted: _Wanted) -> int:
        """Put in place of each value what is wanted; return how many values changed.

        A value that changes meanwhile is looked at again.
        """
        changed, left = 0, list(keys)
        for _ in range(_MOST_TRIES):
            values = await self._store.values(left)
            swaps = [
                Swap(key, raw, wanted(raw))
                for key, raw in zip(left, values, strict=True)
                if raw is not None and wanted(raw) != raw
            ]
            if not swaps:
                return changed
            made = await self._store.replace(swaps)
            changed += sum(made)
            left = [swap.key for swap, done in zip(swaps, made, strict=True) if not done]
        raise Unavailable(
            "a customer's state changes all the time while it is to be erased; it is tried again",
            reason="STATE_BUSY",
        )

    async def _started(self, client: Redis, running: str, command: str) -> None:
        """Start what writes the files anew; one that runs already may be older than the erasure."""
        await self._quiet(client, running)
        call: Awaitable[Any] = client.bgsave() if command == "bgsave" else client.bgrewriteaof()
        await self._asked(call)

    async def _ended(self, client: Redis, name: str, status: str) -> None:
        told = await self._quiet(client, f"{name}_in_progress", f"{name}_scheduled")
        if told.get(status) != "ok":
            raise self._unavailable(f"it could not write its files anew: {status} is not ok")

    async def _quiet(self, client: Redis, *names: str) -> dict[str, Any]:
        """Return what is told of the files once nothing writes them."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _LONGEST_REWRITE_S
        while True:
            told: dict[str, Any] = await self._asked(client.info("persistence"))
            if not any(told.get(name) for name in names):
                return told
            if loop.time() > deadline:
                raise self._unavailable("it takes too long to write its files anew")
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _asked(self, call: Any) -> Any:
        try:
            return await call
        except (RedisError, OSError, TimeoutError) as error:
            raise self._unavailable(f"{type(error).__name__}: {error}") from error

    def _client(self) -> Redis:
        return Redis.from_url(
            self._address.url,
            socket_timeout=_ANSWER_S,
            socket_connect_timeout=_ANSWER_S,
            protocol=2,
        )

    def _unavailable(self, cause: str) -> Unavailable:
        return Unavailable(
            f"customers cannot be erased from Redis at {self._address.shown}: {cause}. They are "
            "as soon as it answers",
            reason="STATE_UNAVAILABLE",
        )


def _state_keys(keys: StateKeys, hashed: bytes) -> list[StateKey]:
    """Return the key of a state, then those that older formats had for it."""
    tag = f"{{{hashed.hex()}}}"
    older = [f"{keys.prefix}{number}:{tag}" for number in range(2, FORMAT)]
    return [keys.of_hash(hashed), *map(StateKey, [f"{keys.prefix}{tag}", *older])]


def _since(raw: bytes, second: int) -> bytes | None:
    """Return a state without what happened through a second; None where nothing is left."""
    try:
        state = UserState.from_bytes(raw)
    except ValueError:
        return None
    kept = UserState(*(entries[entries["time"] > second] for entries in state.facets))
    return kept.to_bytes() if kept else None


def _nothing(raw: bytes) -> None:
    """Return what is wanted of a value that only an older format has: no value."""


def _stated_since(raw: bytes, entry: Entry) -> bytes | None:
    """Return a profile that is newer than an erasure; None for another."""
    try:
        return raw if StoredProfile.from_bytes(raw).version > entry.position else None
    except ValueError:
        return None
