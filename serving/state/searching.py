"""An id looked for in a live Redis: its own keys, and the profiles that name it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from secrets import token_bytes
from typing import TypeVar

from recsys.customers import Consents
from recsys.errors import Unavailable
from recsys.events import Position
from recsys.state import UserState
from serving.state.keys import HASH_BYTES, StateKeys, profile_key
from serving.state.profiles import StoredProfile
from serving.state.redis_store import RedisStateStore, Swap

_KEYS_A_STEP = 256

Item = TypeVar("Item")


async def live_places(store: RedisStateStore, keys: StateKeys, hashed: bytes) -> list[str]:
    """Return where a live store holds a hashed id, in words. Raises Unavailable.

    Its own keys of every format, and every profile, also of others, of which it is a member.
    """
    wanted = hashed.hex()
    found = [f"key {name}" async for name in _names(store) if wanted in name]
    own = profile_key(keys.of_hash(hashed))
    async for some in store.stored_profiles():
        for step in _sliced([one for one in some if one != own]):
            values = await store.values(step)
            found += [
                f"member in {key}"
                for key, raw in zip(step, values, strict=True)
                if raw is not None and _is_member(hashed, raw)
            ]
    return sorted(set(found))


async def check_live_search(store: RedisStateStore, keys: StateKeys) -> None:
    """Plant an id of chance in a live store, and take it out. Raises Unavailable if not found."""
    hashed = token_bytes(HASH_BYTES)
    stranger = profile_key(keys.of_hash(token_bytes(HASH_BYTES)))
    profile = StoredProfile.of(Position(0), Consents(), [hashed, bytes(HASH_BYTES)]).to_bytes()
    plants = [
        Swap(keys.of_hash(hashed), None, UserState.unknown().to_bytes()),
        Swap(stranger, None, profile),
    ]
    await store.replace(plants)
    try:
        found = await live_places(store, keys, hashed)
    finally:
        await store.replace([Swap(one.key, one.wanted, None) for one in plants])
    if len(found) != len(plants):
        raise Unavailable(
            "the search does not find what is planted for it in the live store. It cannot be "
            "believed; report this as a defect",
            reason="SEARCH_BLIND",
        )


async def _names(store: RedisStateStore) -> AsyncIterator[str]:
    async for states in store.stored_keys():
        for state in states:
            yield state
    async for profiles in store.stored_profiles():
        for profile in profiles:
            yield profile


def _is_member(hashed: bytes, raw: bytes) -> bool:
    try:
        return hashed in StoredProfile.from_bytes(raw).members
    except ValueError:
        return len(hashed) == HASH_BYTES and hashed in raw


def _sliced(some: Sequence[Item]) -> Iterator[Sequence[Item]]:
    return (some[n : n + _KEYS_A_STEP] for n in range(0, len(some), _KEYS_A_STEP))
