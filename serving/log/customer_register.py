"""The words of the register of customers: what it is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from recsys.customers import Consents, ConsentStatement, CustomerChange, Identifier
from recsys.events import Position


@dataclass(frozen=True, slots=True)
class Refusal:
    """One change that was not made, and why.

    index: its place among the changes, from 0.
    """

    index: int
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class CustomersChanged:
    """What became of changes of customers; the three counts add up to them.

    unchanged: changes that said what was known.
    """

    changed: int
    unchanged: int
    refused: tuple[Refusal, ...]
    last_position: Position


@dataclass(frozen=True, slots=True)
class CustomerProfile:
    """What answers need to know of a customer.

    members: the customer's identifiers, in order. consents: what holds, without basis.
    version: of the newest change that this rests on; it grows with every change of any of it.
    """

    members: tuple[Identifier, ...]
    consents: Consents
    version: Position


@dataclass(frozen=True, slots=True)
class RegisteredCustomer:
    """All that the register tells of one customer.

    identifiers: in order. statements: the newest 1,000, newest first. consents: what holds.
    attributes: of each name what was said last, under whichever identifier.
    """

    identifiers: tuple[Identifier, ...]
    statements: tuple[ConsentStatement, ...]
    consents: Consents
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CustomerFact:
    """One row for the lake: a link, a consent or an attribute as of its newest change.

    fact: `link`, `consent` or `attribute`. other: the second identifier of a link; else empty.
    name: the purpose, or the attribute's name; empty for a link. value: the attribute's, or the
    basis of a consent; None where it was taken away, and for a link.
    granted: of a consent; of a link whether it stands; of an attribute whether it has a value.
    time: when a consent was stated; else when the change was received. Microseconds since 1970.
    """

    position: Position
    fact: str
    identifier: Identifier
    other: Identifier | None
    name: str
    value: str | None
    granted: bool
    time: int
    received: int


class CustomerRegister(Protocol):
    """Holds what is true of every customer now. Every method raises Unavailable."""

    async def change_customers(self, changes: Sequence[CustomerChange]) -> CustomersChanged:
        """Make the changes that may be made, in their order; they are durable on return."""
        ...

    async def profiles_of(self, identifiers: Sequence[Identifier]) -> Sequence[CustomerProfile]:
        """Return the profiles of the customers with these identifiers, each once."""
        ...

    async def customer_of(self, identifier: Identifier) -> RegisteredCustomer:
        """Return the customer with an identifier, of whom perhaps nothing else is known."""
        ...

    async def item_names(self, rows: Sequence[int]) -> Mapping[int, tuple[str, str]]:
        """Return item id and title, perhaps empty, of each row that is some item's."""
        ...


@dataclass(frozen=True, slots=True)
class Touched:
    """Identifiers that one change was about."""

    position: Position
    identifiers: tuple[Identifier, ...]
