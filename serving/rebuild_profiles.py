"""Rebuild of profiles: what the store keeps beside states is compared with the register."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import compress
from pathlib import Path
from typing import Self, TypeVar

import numpy as np

from recsys.customers import Identifier
from recsys.events import Position
from serving.log.customer_reads import CustomerReader
from serving.standing_in import JobState
from serving.state.keys import ProfileKey, profile_key
from serving.state.profiles import NO_PROFILE, StoredProfile, profiles_kept
from serving.state.redis_store import Swap

_IDENTIFIERS_A_STEP = 512

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ProfileFindings:
    """What a rebuild of profiles met.

    profiles: identifiers that have one. repaired: of them, whose was not as the register says.
    removed: profiles of identifiers that the register has nothing about, and of older formats.
    """

    profiles: int = 0
    repaired: int = 0
    removed: int = 0

    @property
    def clean(self) -> bool:
        """Whether everything was as it should be."""
        return not (self.repaired or self.removed)


class ProfileRebuild:
    """Compares all profiles with the register, once; repairs them unless `only_look`.

    The register is read after the store, so what the store holds and the register does not is wrong
    for certain; what a server has not yet noted as applied is no fault. A profile that changes
    between look and repair is looked at again. Memory holds 8 bytes an identifier.
    Raises Unavailable when store or log cannot be used.
    """

    def __init__(self, log_file: Path, state: JobState, *, only_look: bool) -> None:
        self._state = state
        self._keys = state.keys
        self._store = state.store
        self._only_look = only_look
        self._known = array("Q")
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rebuild-profiles")
        self._reader = self._thread.submit(CustomerReader, log_file).result()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._in_thread(self._reader.close)
        self._thread.shutdown()

    async def run(self) -> ProfileFindings:
        """Compare every profile, and then look for those of nobody."""
        last = await self._in_thread(self._reader.last_position)
        repaired, after = 0, None
        while some := await self._in_thread(
            partial(self._reader.identifiers, after, _IDENTIFIERS_A_STEP)
        ):
            keys = {profile_key(self._keys.of(one)): one for one in some}
            self._known.extend(map(_number, keys))
            repaired += await self._compare(keys)
            after = some[-1]
        return ProfileFindings(len(self._known), repaired, await self._remove_strangers(last))

    async def _compare(self, keys: Mapping[ProfileKey, Identifier]) -> int:
        """Return how many of these profiles were not as the register says."""
        found, left = 0, dict(keys)
        while left:
            certain = await self._certain()
            stored = await self._store.values(list(left))
            expected = await self._in_thread(partial(self._expected, list(left.values())))
            wrong = {
                key: Swap(key, raw, expected[key])
                for key, raw in zip(left, stored, strict=True)
                if raw != expected[key] and _version(expected[key]) <= certain
            }
            made = await self._repaired(list(wrong.values()))
            found += sum(made)
            left = {key: keys[key] for key, done in zip(wrong, made, strict=True) if not done}
        return found

    def _expected(self, some: Sequence[Identifier]) -> dict[ProfileKey, bytes]:
        """Return what the profiles of these identifiers' customers should be now."""
        profiles = self._reader.profiles_of(some)
        return dict(pair for one in profiles for pair in profiles_kept(one, self._keys))

    async def _remove_strangers(self, last: Position) -> int:
        """Remove profiles of nobody; those newer than a position belong to newcomers."""
        known = np.array(self._known, dtype=np.uint64)
        removed: set[ProfileKey] = set()
        async for keys in self._store.stored_profiles():
            numbers = np.array([_number(key) for key in keys], dtype=np.uint64)
            met = np.isin(numbers, known, kind="sort").tolist()
            present = self._keys.shared("")
            looks = zip(keys, met, strict=True)
            strange = [key for key, here in looks if not (here and key.startswith(present))]
            stored = dict(zip(strange, await self._store.values(strange), strict=True))
            old = {key: raw for key, raw in stored.items() if _version(raw) <= last}
            made = await self._repaired([Swap(key, raw, None) for key, raw in old.items()])
            removed |= set(compress(old, made))
        return len(removed)

    async def _repaired(self, swaps: Sequence[Swap]) -> list[bool]:
        """Return of each profile whether it did not change meanwhile, and so is repaired."""
        if self._only_look:
            return [True] * len(swaps)
        return await self._store.replace(swaps, forever=True)

    async def _certain(self) -> Position:
        """Return the position up to which the store has surely been given every change."""
        applied = None if self._state.alone else await self._store.applied_through()
        return await self._in_thread(self._reader.last_position) if applied is None else applied

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _version(raw: bytes | None) -> Position:
    """Return the version of a profile, 0 where there is none or it is damaged."""
    try:
        return NO_PROFILE.version if raw is None else StoredProfile.from_bytes(raw).version
    except ValueError:
        return NO_PROFILE.version


def _number(key: ProfileKey) -> int:
    """Return the first 64 bits of the hash in a key; that two share them is all but impossible."""
    return int(key[key.index("{") + 1 :][:16], 16)
