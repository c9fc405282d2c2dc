"""Profiles: beside the state of an id, whom else it belongs to and what that person allows."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Self

from recsys.customers import PURPOSES, Consents, ConsentStatement, Purpose
from recsys.events import Position
from recsys.state import UserState
from serving.log.customer_register import CustomerProfile
from serving.log.records import instant, microseconds
from serving.state.keys import HASH_BYTES, ProfileKey, StateKeys, hash_in, profile_key

PROFILE_HEADER = struct.Struct(">QBB")
"""How a profile begins: its version, the number of its statements, of its members."""

PROFILE_STATEMENT = struct.Struct(">BQ")
"""Twice the code of a purpose, one more where it is granted; microseconds since 1970."""

_TICKS_A_SECOND = 256


@dataclass(frozen=True, slots=True)
class StoredProfile:
    """What Redis holds beside the state of an id that has links, or under which consent was stated.

    It is the same under every id of a customer, and holds hashed ids alone.

    version: position of the newest change it rests on; of two profiles the newer holds.
    consents: what holds, without basis.
    members: hashed ids of all identifiers of the customer, ascending; empty where there is one.
    """

    version: Position
    consents: Consents
    members: tuple[bytes, ...]

    @classmethod
    def of(cls, version: Position, consents: Consents, members: Collection[bytes]) -> Self:
        """Return the profile of a customer with these hashed ids."""
        return cls(version, consents, tuple(sorted(members)) if len(members) > 1 else ())

    @classmethod
    def from_bytes(cls, value: bytes) -> Self:
        """Return the profile that `to_bytes` wrote. Raises ValueError for bytes that are none."""
        if len(value) < PROFILE_HEADER.size:
            raise ValueError(f"{len(value)} bytes are no profile")
        version, n_statements, n_members = PROFILE_HEADER.unpack_from(value)
        start = PROFILE_HEADER.size + n_statements * PROFILE_STATEMENT.size
        if len(value) != start + n_members * HASH_BYTES:
            raise ValueError(f"{len(value)} bytes are no profile of {n_members} members")
        stated = PROFILE_STATEMENT.iter_unpack(value[PROFILE_HEADER.size : start])
        places = range(start, len(value), HASH_BYTES)
        return cls(
            Position(version),
            Consents(tuple(_statement(*one) for one in stated)),
            tuple(value[place : place + HASH_BYTES] for place in places),
        )

    def to_bytes(self) -> bytes:
        """Return the profile as it is kept; equal profiles give equal bytes."""
        statements = self.consents.statements
        return b"".join(
            (
                PROFILE_HEADER.pack(self.version, len(statements), len(self.members)),
                *(_packed(one) for one in statements),
                *self.members,
            )
        )


NO_PROFILE = StoredProfile(Position(0), Consents(), ())
"""The profile of an id without links under which nothing was stated."""


@dataclass(frozen=True, slots=True)
class Known:
    """What may be used of whoever asks.

    state: what the customer did, under all ids; that of somebody never seen unless `personalise`.
    personalise: whether answers may rest on what the customer did.
    email: whether e-mails may be sent.
    told: whether the store could tell; else nothing may be used, whatever the customer said.
    """

    state: UserState
    personalise: bool
    email: bool
    told: bool = True

    @classmethod
    def nobody(cls) -> Self:
        """Return what may be used while it cannot be told who asks, or what they allow: nothing."""
        return cls(UserState.unknown(), personalise=False, email=False, told=False)

    @classmethod
    def of(
        cls,
        states: Iterable[UserState],
        profiles: Iterable[StoredProfile],
        unless_stated: Collection[Purpose],
    ) -> Self:
        """Return what may be used of the customer with these states and profiles.

        An unsubscription counts as a refusal of e-mail, at its time.
        """
        state = joined_states(states)
        consents = reduce(Consents.joined, (one.consents for one in profiles), Consents())
        email = consents.joined(unsubscriptions_of(state)).allow(Purpose.EMAIL, unless_stated)
        personalise = consents.allow(Purpose.PERSONALISE, unless_stated)
        return cls(state if personalise else UserState.unknown(), personalise, email)


def joined_states(states: Iterable[UserState]) -> UserState:
    """Return what is known under all ids, as of one customer."""
    known = [state for state in states if state]
    return reduce(UserState.joined, known) if known else UserState.unknown()


def unsubscriptions_of(state: UserState) -> Consents:
    """Return the refusal of e-mail that the newest unsubscription is.

    A state knows it to 1/256 of a second, and the end of that counts: never a consent too many.
    """
    if not len(state.consents):
        return Consents()
    newest = state.consents[0]
    ticks = int(newest["tie"] >> 24) + 1
    ended = int(newest["time"]) * 1_000_000 + -(-ticks * 1_000_000 // _TICKS_A_SECOND)
    return Consents((ConsentStatement(Purpose.EMAIL, granted=False, time=instant(ended)),))


def members_of(profiles: Sequence[StoredProfile]) -> set[bytes]:
    """Return the hashed ids that profiles name."""
    return {member for profile in profiles for member in profile.members}


def profiles_kept(profile: CustomerProfile, keys: StateKeys) -> list[tuple[ProfileKey, bytes]]:
    """Return where a customer's profile is kept, and its bytes, for each identifier."""
    members = [keys.of(member) for member in profile.members]
    stored = StoredProfile.of(
        profile.version, profile.consents, [hash_in(member) for member in members]
    )
    raw = stored.to_bytes()
    return [(profile_key(member), raw) for member in members]


def _packed(statement: ConsentStatement) -> bytes:
    code = 2 * PURPOSES.index(statement.purpose) + statement.granted
    return PROFILE_STATEMENT.pack(code, microseconds(statement.time))


def _statement(code: int, time: int) -> ConsentStatement:
    if code >= 2 * len(PURPOSES):
        raise ValueError(f"{code} is no purpose")
    return ConsentStatement(PURPOSES[code // 2], bool(code % 2), instant(time))
