"""The seam between serving and whatever remembers its customers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from recsys.events import Position, Record
from recsys.state import UserState
from serving.state.keys import StateKey


class StateStore(Protocol):
    """Remembers customers. Every method raises Unavailable when the store cannot be used.

    Laws: `apply` is idempotent and commutative, so records applied twice, late, in any order and
    in any batches end in the state that `recsys.state.merged` gives; a batch of reads answers as
    its queries one by one.
    """

    async def read(self, keys: Sequence[Sequence[StateKey]]) -> Sequence[UserState]:
        """Return what is known of each query's asker, joined over its keys, in one round trip.

        Unknown keys, and queries without keys, give the state of somebody never seen.
        """
        ...

    async def apply(self, records: Sequence[Record]) -> None:
        """Remember the events among appended records; other facts change no customer."""
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
