"""Customers: the ids one person is known under, how they hang together, and what is allowed.

A customer is a connected component of the graph of links between identifiers. Nothing is ever
merged: each identifier keeps what happened under it, reading joins it, and a link that is taken
back leaves what was there before.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Self

from recsys.errors import InvalidInput
from recsys.events import EARLIEST, LATEST
from recsys.ids import check_id, check_text

MOST_IDENTIFIERS = 50
"""Most identifiers of one customer; what many people share, as a device in a shop, has more."""

MOST_ATTRIBUTES = 50
MOST_NAME_BYTES = 64
MOST_VALUE_BYTES = 256
MOST_BASIS_BYTES = 512

_HASH = re.compile(r"[0-9a-f]{64}")


class IdKind(StrEnum):
    """What an id names. Those that events and queries give come first, the most durable first."""

    USER = "user"
    VISITOR = "visitor"
    SESSION = "session"
    EMAIL = "email"
    """SHA-256, in hexadecimal, of the address without outer spaces and in small letters."""
    CARD = "card"
    """A loyalty card."""
    DEVICE = "device"


KINDS_OF_EVENTS = (IdKind.USER, IdKind.VISITOR, IdKind.SESSION)
"""Kinds that events and queries give, the most durable first."""


@dataclass(frozen=True, slots=True, order=True)
class Identifier:
    """One id that one person is known under."""

    kind: IdKind
    value: str

    @classmethod
    def of_email(cls, address: str) -> Self:
        """Return the identifier of an e-mail address, which it does not show."""
        return cls(IdKind.EMAIL, sha256(address.strip().lower().encode()).hexdigest())

    def check(self, field: str = "identifier") -> None:
        """Raise InvalidInput naming the field unless the value fits its kind."""
        path = f"{field}.value"
        if self.kind is not IdKind.EMAIL:
            check_id(path, self.value)
        elif not _HASH.fullmatch(self.value):
            wanted = "SHA-256 of the trimmed address in small letters, as 64 hexadecimal digits"
            raise InvalidInput(path, f"{len(self.value)} characters", wanted)


class Purpose(StrEnum):
    """What somebody's data may be used for."""

    PERSONALISE = "personalise"
    """Answers that rest on what the customer did."""
    TRAIN = "train"
    """Models that everybody's answers come from."""
    EMAIL = "email"
    """E-mails with recommendations."""


PURPOSES: tuple[Purpose, ...] = tuple(Purpose)
"""Purposes by their code; append-only, since Redis holds codes."""

ALLOWED_UNLESS_REFUSED = frozenset({Purpose.PERSONALISE, Purpose.TRAIN})
"""Purposes that need no word of the customer; all others are refused until they are granted."""


@dataclass(frozen=True, slots=True)
class ConsentStatement:
    """What a customer said about one purpose at one time.

    time: UTC. basis: where and how it was said, such as `newsletter form, text of 2026-03`.
    """

    purpose: Purpose
    granted: bool
    time: datetime
    basis: str = ""

    def check(self) -> None:
        """Raise InvalidInput naming the first field that holds what it may not."""
        if self.time.tzinfo is None or not EARLIEST <= self.time <= LATEST:
            wanted = f"a time with zone in {EARLIEST:%Y} to {LATEST:%Y}"
            raise InvalidInput("time", str(self.time), wanted)
        if self.basis:
            check_text("basis", self.basis, MOST_BASIS_BYTES)


@dataclass(frozen=True, slots=True)
class Consents:
    """What holds: of each purpose the newest statement, of the same instant the refusal.

    statements: at most one a purpose, in the order of `PURPOSES`.

    Laws: `joined` is commutative, associative and idempotent, and `of` is `joined` over its parts.
    """

    statements: tuple[ConsentStatement, ...] = ()

    @classmethod
    def of(cls, statements: Iterable[ConsentStatement]) -> Self:
        """Return what holds by all that was ever said, in whatever order it comes."""
        newest: dict[Purpose, ConsentStatement] = {}
        for one in statements:
            newest[one.purpose] = max(newest.get(one.purpose, one), one, key=_weight)
        return cls(tuple(newest[purpose] for purpose in PURPOSES if purpose in newest))

    def joined(self, other: Self) -> Self:
        """Return what holds by both."""
        if not (self.statements and other.statements):
            return self if self.statements else other
        return self.of((*self.statements, *other.statements))

    def about(self, purpose: Purpose) -> ConsentStatement | None:
        """Return the statement that holds for a purpose, None where nothing was said."""
        return next((one for one in self.statements if one.purpose is purpose), None)

    def allow(
        self, purpose: Purpose, unless_stated: Collection[Purpose] = ALLOWED_UNLESS_REFUSED
    ) -> bool:
        """Return whether a purpose is allowed; unless_stated: those that need no word."""
        said = self.about(purpose)
        return purpose in unless_stated if said is None else said.granted


@dataclass(frozen=True, slots=True)
class LinkChange:
    """That two identifiers are one person's, or that they are not.

    linked: false takes the link back, and only this one.
    """

    one: Identifier
    other: Identifier
    linked: bool = True

    def check(self) -> None:
        """Raise InvalidInput naming the first field that holds what it may not."""
        self.one.check("one")
        self.other.check("other")
        if self.one == self.other:
            raise InvalidInput("other", self.other.kind.value, "another identifier than `one`")


@dataclass(frozen=True, slots=True)
class ConsentChange:
    """What a customer said, under one of the customer's identifiers."""

    identifier: Identifier
    statement: ConsentStatement

    def check(self) -> None:
        """Raise InvalidInput naming the first field that holds what it may not."""
        self.identifier.check()
        self.statement.check()


@dataclass(frozen=True, slots=True)
class AttributeChange:
    """A property of a customer in the shop's own words; a value of None takes it away."""

    identifier: Identifier
    name: str
    value: str | None

    def check(self) -> None:
        """Raise InvalidInput naming the first field that holds what it may not."""
        self.identifier.check()
        check_text("name", self.name, MOST_NAME_BYTES)
        if self.value is not None:
            check_text("value", self.value, MOST_VALUE_BYTES)


CustomerChange = LinkChange | ConsentChange | AttributeChange


def identifiers_of(changes: Iterable[CustomerChange]) -> list[Identifier]:
    """Return the identifiers that changes name, each once."""
    named = dict[Identifier, None]()
    for change in changes:
        match change:
            case LinkChange(one, other):
                named |= {one: None, other: None}
            case ConsentChange(identifier) | AttributeChange(identifier):
                named[identifier] = None
    return list(named)


def _weight(statement: ConsentStatement) -> tuple[datetime, bool, str]:
    return statement.time, not statement.granted, statement.basis
