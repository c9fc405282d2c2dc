"""The register of customers: links, consents, attributes, in the same file and commits as the log.

Of a link and an attribute only the newest truth is kept, with the position of its change; what was
taken back stays as a row, so that whoever follows hears of it. Of consents every statement is
kept. What belongs together is worked out when it is asked for: nothing is ever merged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from recsys.customers import (
    MOST_ATTRIBUTES,
    MOST_IDENTIFIERS,
    AttributeChange,
    ConsentChange,
    CustomerChange,
    Identifier,
    IdKind,
    LinkChange,
)
from recsys.events import Position
from serving.log.customer_register import CustomersChanged, Refusal
from serving.log.items import Connection
from serving.log.records import microseconds

TABLES = """
CREATE TABLE links(
    identifier TEXT NOT NULL,
    other TEXT NOT NULL,
    linked INTEGER NOT NULL,
    position INTEGER NOT NULL,
    received INTEGER NOT NULL,
    PRIMARY KEY(identifier, other)) WITHOUT ROWID;
CREATE INDEX changed_links ON links(position);
CREATE TABLE consents(
    position INTEGER PRIMARY KEY,
    identifier TEXT NOT NULL,
    purpose TEXT NOT NULL,
    granted INTEGER NOT NULL,
    time INTEGER NOT NULL,
    basis TEXT NOT NULL,
    received INTEGER NOT NULL);
CREATE INDEX consents_of ON consents(identifier, purpose, time);
CREATE TABLE attributes(
    identifier TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT,
    position INTEGER NOT NULL,
    received INTEGER NOT NULL,
    PRIMARY KEY(identifier, name)) WITHOUT ROWID;
CREATE INDEX changed_attributes ON attributes(position);
"""
"""identifier: its kind, a colon, its value. links: each stands twice, once from either end; of
`linked` 0 it was taken back. attributes: a null was taken away. Times are microseconds since 1970.
"""

MOST_STATEMENTS = 1_000
TOO_MANY_IDENTIFIERS = "TOO_MANY_IDENTIFIERS"
TOO_MANY_ATTRIBUTES = "TOO_MANY_ATTRIBUTES"


@dataclass(slots=True)
class _Changes:
    """Changes under way: the last position taken, and when the log takes them."""

    connection: Connection
    position: int
    received: int

    def made(self, change: CustomerChange) -> bool | tuple[str, str]:
        """Make one change; return whether it made a difference, or reason and message."""
        match change:
            case LinkChange():
                return self._link(change)
            case ConsentChange():
                return self._state(change)
            case AttributeChange():
                return self._describe(change)

    def _link(self, change: LinkChange) -> bool | tuple[str, str]:
        ends = (text_of(change.one), text_of(change.other))
        stands = _one(
            self.connection, "SELECT linked FROM links WHERE identifier = ? AND other = ?", ends
        )
        if bool(stands) == change.linked:
            return False
        if change.linked and _too_large(self.connection, change):
            return TOO_MANY_IDENTIFIERS, (
                f"one customer would have more than {MOST_IDENTIFIERS} identifiers: one of these "
                "is shared by many people, such as a device in a shop; unlink it from them"
            )
        self.position += 1
        for identifier, other in (ends, ends[::-1]):
            self.connection.execute(
                "INSERT OR REPLACE INTO links VALUES(?, ?, ?, ?, ?)",
                (identifier, other, change.linked, self.position, self.received),
            )
        return True

    def _state(self, change: ConsentChange) -> bool:
        said = change.statement
        values = (text_of(change.identifier), said.purpose.value, microseconds(said.time))
        known = _one(
            self.connection,
            "SELECT 1 FROM consents WHERE identifier = ? AND purpose = ? AND time = ? "
            "AND granted = ? AND basis = ?",
            (*values, said.granted, said.basis),
        )
        if known:
            return False
        self.position += 1
        self.connection.execute(
            "INSERT INTO consents(identifier, purpose, time, granted, basis, position, received) "
            "VALUES(?, ?, ?, ?, ?, ?, ?)",
            (*values, said.granted, said.basis, self.position, self.received),
        )
        return True

    def _describe(self, change: AttributeChange) -> bool | tuple[str, str]:
        identifier = text_of(change.identifier)
        held = dict(_attributes(self.connection, identifier))
        if held.get(change.name) == change.value:
            return False
        if change.value is not None and len({*held, change.name}) > MOST_ATTRIBUTES:
            return TOO_MANY_ATTRIBUTES, (
                f"an identifier has at most {MOST_ATTRIBUTES} attributes: take another one away"
            )
        self.position += 1
        self.connection.execute(
            "INSERT OR REPLACE INTO attributes VALUES(?, ?, ?, ?, ?)",
            (identifier, change.name, change.value, self.position, self.received),
        )
        return True


def apply(
    connection: Connection, changes: Sequence[CustomerChange], *, before: Position, received: int
) -> CustomersChanged:
    """Make changes, in their order, inside a transaction; each takes the next position behind one.

    received: microseconds since 1970. The caller notes the last position, and commits.
    """
    under_way = _Changes(connection, before, received)
    outcomes = [under_way.made(change) for change in changes]
    refused = [
        Refusal(index, *outcome)
        for index, outcome in enumerate(outcomes)
        if isinstance(outcome, tuple)
    ]
    return CustomersChanged(
        outcomes.count(True), outcomes.count(False), tuple(refused), Position(under_way.position)
    )


def component_of(connection: Connection, identifier: Identifier) -> list[Identifier]:
    """Return all identifiers of the customer who has this one, in order."""
    found = connection.execute(
        "WITH RECURSIVE reached(name) AS (VALUES(?) UNION SELECT other FROM links "
        "JOIN reached ON identifier = name WHERE linked) SELECT name FROM reached",
        (text_of(identifier),),
    )
    return sorted(identifier_of(name) for (name,) in found)


def text_of(identifier: Identifier) -> str:
    """Return an identifier as the tables hold it."""
    return f"{identifier.kind.value}:{identifier.value}"


def identifier_of(text: str) -> Identifier:
    """Return the identifier behind its text."""
    kind, _, value = text.partition(":")
    return Identifier(IdKind(kind), value)


def _too_large(connection: Connection, change: LinkChange) -> bool:
    joint = {*component_of(connection, change.one), *component_of(connection, change.other)}
    return len(joint) > MOST_IDENTIFIERS


def _attributes(connection: Connection, identifier: str) -> Iterable[tuple[str, str]]:
    return (
        (name, value)
        for name, value in connection.execute(
            "SELECT name, value FROM attributes WHERE identifier = ? AND value IS NOT NULL",
            (identifier,),
        )
    )


def _one(connection: Connection, sql: str, values: tuple[Any, ...]) -> Any:
    """Return the one value that is asked for, None where there is no row."""
    return next((value for (value,) in connection.execute(sql, values)), None)
