"""Reading of customers: states, profiles, whoever is linked, and lists, in one round trip."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from recsys.customers import Purpose
from recsys.events import Position
from recsys.state import UserState
from serving.metrics import StateMetrics
from serving.state.errands import NO_ERRAND, Errand, Found
from serving.state.keys import ListKey, StateKey, StateKeys, hash_in, profile_key
from serving.state.profiles import NO_PROFILE, Known, StoredProfile, members_of
from serving.state.recent import Changes
from serving.state.redis_calls import CUSTOMERS_A_CALL, RedisCalls
from serving.state.scripts import FIND
from serving.state.store import Marks

_N_MARKS = 2


@dataclass(frozen=True, slots=True)
class _Read:
    """What one round trip brought, as bytes; None where there is nothing.

    states: of whoever was asked for, and of whom their profiles name.
    """

    marks: Marks
    states: Mapping[StateKey, bytes | None]
    profiles: Mapping[StateKey, bytes | None]
    lists: Mapping[ListKey, bytes]


@dataclass(frozen=True, slots=True)
class KnownReads:
    """Reads what may be used of askers.

    marks: where the store says what it lacks. unless_stated: purposes that whoever said nothing
    about them allows. list_seconds: how long lists are kept.
    """

    calls: RedisCalls
    keys: StateKeys
    marks: Sequence[str]
    unless_stated: Collection[Purpose]
    list_seconds: int
    metrics: StateMetrics

    async def find(
        self, keys: Sequence[Sequence[StateKey]], errand: Errand, changes: Changes
    ) -> tuple[Found, bool | None]:
        """Return what is found, and whether the store lacks something; None where none was asked.

        One round trip for as many askers as a call takes. Raises Unavailable.
        """
        known: list[Known] = []
        lists: Mapping[ListKey, bytes] = {}
        incomplete: list[bool] = []
        for start in range(0, max(1, len(keys)), CUSTOMERS_A_CALL):
            some = keys[start : start + CUSTOMERS_A_CALL]
            found, lacks = await self._find(some, errand, changes)
            known += found.known
            lists = {**lists, **found.lists}
            incomplete += [] if lacks is None else [lacks]
            errand = NO_ERRAND
        return Found(known, lists), any(incomplete) if incomplete else None

    async def _find(
        self, keys: Sequence[Sequence[StateKey]], errand: Errand, changes: Changes
    ) -> tuple[Found, bool | None]:
        wanted = list(dict.fromkeys(key for asker in keys for key in asker))
        if not wanted and not errand.wanted:
            if errand.kept:
                await self._found((), errand, (1, 0))
            return Found([Known.of((), (), self.unless_stated) for _ in keys], {}), None
        read = await self._read(wanted, errand)
        incomplete = read.marks.incomplete
        known = self._known_of(keys, read, changes)
        if incomplete:  # who unsubscribed may not be known
            known = [replace(one, email=False) for one in known]
        return Found(known, read.lists), incomplete

    async def _read(self, wanted: Sequence[StateKey], errand: Errand) -> _Read:
        n, profiles = len(wanted), [profile_key(key) for key in wanted]
        behind = _N_MARKS + 2 * n
        every = [*self.marks, *wanted, *profiles, *errand.wanted]
        values, others, more = await self._found(every, errand, (_N_MARKS + n + 1, behind))
        linked = dict(zip((StateKey(key.decode()) for key in others), more, strict=True))
        return _Read(
            Marks.of(values[0], values[1]),
            {**dict(zip(wanted, values[_N_MARKS : _N_MARKS + n], strict=True)), **linked},
            dict(zip(wanted, values[_N_MARKS + n : behind], strict=True)),
            {
                key: raw
                for key, raw in zip(errand.wanted, values[behind:], strict=True)
                if raw is not None
            },
        )

    async def _found(
        self, wanted: Sequence[str], errand: Errand, profiles: tuple[int, int]
    ) -> tuple[Sequence[bytes | None], Sequence[bytes], Sequence[bytes | None]]:
        """Return what the script returns. profiles: their first and last place among `wanted`."""
        keys = [*wanted, *(key for key, _ in errand.kept)]
        opening, n_kept = self.keys.of_hash(b"")[:-1], len(errand.kept)
        values = [value for _, value in errand.kept]
        found: tuple[Any, Any, Any] = await self.calls.found(
            FIND, keys, opening, *profiles, n_kept, self.list_seconds, *values
        )
        return found

    def _known_of(
        self, keys: Sequence[Sequence[StateKey]], read: _Read, changes: Changes
    ) -> list[Known]:
        """Return what may be used of each asker; nothing where the store has not what changed."""
        applied = read.marks.applied or Position(0)
        if not read.marks.incomplete and not changes.cover(applied):
            return [Known.nobody() if asker else self._stranger() for asker in keys]
        states = {key: self.state(raw) for key, raw in read.states.items()}
        profiles = self._profiles(read)
        profiles = {key: _unless_outdated(key, one, changes) for key, one in profiles.items()}
        return [self._known(list(dict.fromkeys(asker)), states, profiles) for asker in keys]

    def _known(
        self,
        asked: Sequence[StateKey],
        states: Mapping[StateKey, UserState],
        profiles: Mapping[StateKey, StoredProfile | None],
    ) -> Known:
        """Return what may be used of one asker: nothing where a profile cannot be told."""
        told = [one for one in (profiles[key] for key in asked) if one is not None]
        if len(told) < len(asked):
            return Known.nobody()
        members = {self.keys.of_hash(hashed) for hashed in members_of(told)}
        joined = (states[key] for key in {*asked, *members})
        return Known.of(joined, told, self.unless_stated)

    def _stranger(self) -> Known:
        return Known.of((), (), self.unless_stated)

    def _profiles(self, read: _Read) -> dict[StateKey, StoredProfile | None]:
        """Return the profile beside each key; None where it cannot be told."""
        absent = NO_PROFILE if read.marks.has_profiles else None
        return {
            key: absent if raw is None else self._profile(raw) for key, raw in read.profiles.items()
        }

    def _profile(self, raw: bytes) -> StoredProfile | None:
        try:
            return StoredProfile.from_bytes(raw)
        except ValueError:
            self.metrics.damaged.inc()
            return None

    def state(self, raw: bytes | None) -> UserState:
        """Return the state behind bytes; that of somebody never seen where they are none."""
        if raw is None:
            return UserState.unknown()
        try:
            return UserState.from_bytes(raw)
        except ValueError:
            self.metrics.damaged.inc()
            return UserState.unknown()


def _unless_outdated(
    key: StateKey, profile: StoredProfile | None, changes: Changes
) -> StoredProfile | None:
    """Return a profile; None where a change of the customer's is newer than it."""
    if profile is None or changes.newest((hash_in(key), *profile.members)) > profile.version:
        return None
    return profile
