"""The seam between serving and whatever remembers its customers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, Self

from recsys.events import Position, Record
from recsys.state import UserState
from serving.log.customer_register import CustomerProfile
from serving.state.keys import StateKey
from serving.state.profiles import Known


class Missing(StrEnum):
    """What a store that is being filled anew does not have yet."""

    PROFILES = "profiles"
    """States, and profiles as well: whoever has none may be one who refused."""
    STATES = "states"


@dataclass(frozen=True, slots=True)
class Marks:
    """What the store says of itself.

    applied: position through which everything is applied; None where none is noted.
    missing: what is being made anew, None where all of it is there.
    """

    applied: Position | None
    missing: Missing | None

    @classmethod
    def of(cls, applied: bytes | None, missing: bytes | None) -> Self:
        """Return the marks behind their bytes."""
        return cls(
            None if applied is None else Position(int(applied)),
            None if missing is None else Missing(missing.decode()),
        )

    @property
    def incomplete(self) -> bool:
        """Whether states may lack what was acknowledged."""
        return self.applied is None or self.missing is not None

    @property
    def has_profiles(self) -> bool:
        """Whether an id without a profile has none in the register either."""
        return self.applied is not None and self.missing is not Missing.PROFILES


class StateStore(Protocol):
    """Remembers customers. Every method raises Unavailable when the store cannot be used.

    Laws: `apply` is idempotent and commutative, so records applied twice, late, in any order and
    in any batches end in the state that `recsys.state.merged` gives; so is `apply_profiles`, whose
    newest version stays. A batch of reads answers as its queries one by one.
    """

    async def read(self, keys: Sequence[Sequence[StateKey]]) -> Sequence[UserState]:
        """Return what is known under each customer's keys, joined, in one round trip.

        Whatever the customer allows, and without what is linked: answers come from `known`.
        Unknown keys, and customers without keys, give the state of somebody never seen.
        """
        ...

    async def known(self, keys: Sequence[Sequence[StateKey]]) -> Sequence[Known]:
        """Return what may be used of each asker, over its keys and all that is linked with them.

        Of whoever refused it is nothing; the same of whom it cannot be told, since the store has
        lost profiles. Whoever gives no key refused nothing.
        """
        ...

    async def apply(self, records: Sequence[Record]) -> None:
        """Remember the events among appended records; other facts change no customer."""
        ...

    async def apply_profiles(self, profiles: Sequence[CustomerProfile]) -> None:
        """Remember profiles under every identifier of each customer; a newer one stays."""
        ...

    async def applied_through(self) -> Position | None:
        """Return the position through which all records are applied; None where none is noted."""
        ...

    async def set_applied_through(self, position: Position, expected: Position | None) -> bool:
        """Note that every record up to this position is applied, and return True.

        Returns False, and notes nothing, where not `expected` is noted: the store was emptied, or
        has lost its newest changes, and the records behind what it notes must be applied again.
        Raises ValueError for a step back.
        """
        ...

    async def close(self) -> None:
        """Give every connection back. Never raises Unavailable."""
        ...
