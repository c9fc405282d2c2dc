"""What the register of customers tells: who a customer is, what changed behind a position."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from recsys.customers import (
    Consents,
    ConsentStatement,
    Identifier,
    Purpose,
)
from recsys.events import Position
from serving.log.customer_register import (
    CustomerFact,
    CustomerProfile,
    RegisteredCustomer,
    Touched,
)
from serving.log.customers import (
    component_of,
    identifier_of,
    text_of,
)
from serving.log.database import connect, last_position, said_as_unavailable
from serving.log.items import Connection, decode_item
from serving.log.records import instant

T = TypeVar("T")

MOST_STATEMENTS = 1_000


class CustomerReader:
    """One connection to a log, used by one thread at a time. Every method raises Unavailable.

    Each answer is of one instant.
    """

    def __init__(self, path: Path) -> None:
        with said_as_unavailable("open"):
            self._connection = connect(path)

    def close(self) -> None:
        """Let the file go."""
        self._connection.close(True)

    def last_position(self) -> Position:
        """Return the highest position ever given, 0 for a new log."""
        with said_as_unavailable("be read"):
            return Position(last_position(self._connection))

    def profiles_of(self, identifiers: Iterable[Identifier]) -> list[CustomerProfile]:
        """Return the profiles of the customers with these identifiers, each once."""
        return self._read(lambda register: profiles_of(register, identifiers))

    def customer_of(self, identifier: Identifier) -> RegisteredCustomer:
        """Return the customer with an identifier, of whom perhaps nothing else is known."""
        return self._read(lambda register: customer_of(register, identifier))

    def touched(self, after: Position, through: Position, limit: int) -> list[Touched]:
        """Return the links and consents changed in (after, through], by position, at most so many.

        A change of an attribute touches no profile.
        """
        return self._read(lambda register: touched(register, after, through, limit))

    def identifiers(self, after: Identifier | None, limit: int) -> list[Identifier]:
        """Return identifiers that have a profile, at most so many, in the order of their texts."""
        return self._read(lambda register: identifiers(register, after, limit))

    def facts_between(self, after: Position, through: Position) -> list[CustomerFact]:
        """Return the facts that changed last in (after, through], by position."""
        return self._read(lambda register: facts_between(register, after, through))

    def item_names(self, rows: Iterable[int]) -> dict[int, tuple[str, str]]:
        """Return item id and title, perhaps empty, of each row that is some item's."""
        return self._read(lambda register: item_names(register, rows))

    def _read(self, read: Callable[[Connection], T]) -> T:
        """Return what one transaction tells."""
        with said_as_unavailable("be read"):
            self._connection.execute("BEGIN")
            try:
                return read(self._connection)
            finally:
                self._connection.execute("COMMIT")


def profiles_of(connection: Connection, identifiers: Iterable[Identifier]) -> list[CustomerProfile]:
    """Return the profiles of the customers with these identifiers, each once."""
    found: dict[Identifier, CustomerProfile] = {}
    for identifier in identifiers:
        if identifier not in found:
            profile = profile_of(connection, identifier)
            found |= dict.fromkeys(profile.members, profile)
    return list({profile.members: profile for profile in found.values()}.values())


def profile_of(connection: Connection, identifier: Identifier) -> CustomerProfile:
    """Return the profile of the customer who has an identifier."""
    members = component_of(connection, identifier)
    statements: list[ConsentStatement] = []
    version = 0
    for member in members:
        name = text_of(member)
        version = max(version, _newest_change(connection, name))
        statements += _holding(connection, name)
    return CustomerProfile(tuple(members), Consents.of(statements), Position(version))


def customer_of(connection: Connection, identifier: Identifier) -> RegisteredCustomer:
    """Return all that is known of the customer who has an identifier."""
    members = component_of(connection, identifier)
    statements: list[ConsentStatement] = []
    holding: list[ConsentStatement] = []
    attributes: list[tuple[int, str, str | None]] = []
    for member in members:
        name = text_of(member)
        holding += _holding(connection, name)
        statements += map(_statement, connection.execute(_STATEMENTS, (name, MOST_STATEMENTS)))
        attributes += connection.execute(_ATTRIBUTES, (name,))
    statements.sort(key=lambda one: one.time, reverse=True)
    newest = {name: value for _, name, value in sorted(attributes, key=lambda one: one[0])}
    held = {name: value for name, value in sorted(newest.items()) if value is not None}
    consents = Consents.of((*holding, *statements))  # the same ones with their basis, if they have
    return RegisteredCustomer(tuple(members), tuple(statements[:MOST_STATEMENTS]), consents, held)


def touched(
    connection: Connection, after: Position, through: Position, limit: int
) -> list[Touched]:
    """Return the links and consents changed in (after, through], by position, at most so many."""
    found: list[tuple[int, str, str]] = []
    for sql in (_CHANGED_LINKS, _CHANGED_CONSENTS):
        found += connection.execute(sql, (after, through, limit))
    return [
        Touched(Position(position), tuple(identifier_of(name) for name in names if name))
        for position, *names in sorted(found)[:limit]
    ]


def identifiers(connection: Connection, after: Identifier | None, limit: int) -> list[Identifier]:
    """Return identifiers with links or consents, at most so many, in the order of their texts."""
    start = "" if after is None else text_of(after)
    names = {
        name for sql in (_LINKED, _STATED) for (name,) in connection.execute(sql, (start, limit))
    }
    return [identifier_of(name) for name in islice(sorted(names), limit)]


def facts_between(connection: Connection, after: Position, through: Position) -> list[CustomerFact]:
    """Return the facts that changed last in (after, through], by position."""
    found = [
        _fact(row)
        for sql in (_LINK_FACTS, _CONSENT_FACTS, _ATTRIBUTE_FACTS)
        for row in connection.execute(sql, (after, through))
    ]
    return sorted(found, key=lambda fact: fact.position)


def nth_fact(connection: Connection, after: Position, n: int) -> Position | None:
    """Return the position of the n-th fact behind a position, None where there are fewer."""
    positions = sorted(
        position
        for table in ("links WHERE identifier < other AND", "consents WHERE", "attributes WHERE")
        for (position,) in connection.execute(
            f"SELECT position FROM {table} position > ? ORDER BY position LIMIT ?",  # noqa: S608 - our own words
            (after, n),
        )
    )
    return Position(positions[n - 1]) if len(positions) >= n else None


def item_names(connection: Connection, rows: Iterable[int]) -> dict[int, tuple[str, str]]:
    """Return item id and title, perhaps empty, of each row that is some item's."""
    found: dict[int, tuple[str, str]] = {}
    for row in dict.fromkeys(rows):
        for item_id, payload in connection.execute(
            "SELECT item_id, payload FROM items WHERE row = ?", (row,)
        ):
            found[row] = item_id, decode_item(payload).title if payload else ""
    return found


_STATEMENTS = """
SELECT purpose, granted, time, basis FROM consents WHERE identifier = ?
ORDER BY time DESC, granted LIMIT ?
"""
_ATTRIBUTES = "SELECT position, name, value FROM attributes WHERE identifier = ?"
_CHANGED_LINKS = """
SELECT position, identifier, other FROM links
WHERE position > ? AND position <= ? AND identifier < other ORDER BY position LIMIT ?
"""
_CHANGED_CONSENTS = """
SELECT position, identifier, '' FROM consents
WHERE position > ? AND position <= ? ORDER BY position LIMIT ?
"""
_LINKED = "SELECT DISTINCT identifier FROM links WHERE identifier > ? ORDER BY identifier LIMIT ?"
_STATED = """
SELECT DISTINCT identifier FROM consents WHERE identifier > ? ORDER BY identifier LIMIT ?
"""
_LINK_FACTS = """
SELECT position, 'link', identifier, other, '', NULL, linked, received, received FROM links
WHERE position > ? AND position <= ? AND identifier < other
"""
_CONSENT_FACTS = """
SELECT position, 'consent', identifier, '', purpose, basis, granted, time, received FROM consents
WHERE position > ? AND position <= ?
"""
_ATTRIBUTE_FACTS = """
SELECT position, 'attribute', identifier, '', name, value, value IS NOT NULL, received, received
FROM attributes WHERE position > ? AND position <= ?
"""


def _newest_change(connection: Connection, name: str) -> int:
    """Return the position of an identifier's newest link or consent, 0 where it has none."""
    found = connection.execute(
        "SELECT max(coalesce((SELECT max(position) FROM links WHERE identifier = ?), 0), "
        "coalesce((SELECT max(position) FROM consents WHERE identifier = ?), 0))",
        (name, name),
    )
    return next(int(position) for (position,) in found)


def _holding(connection: Connection, name: str) -> Iterator[ConsentStatement]:
    """Yield an identifier's newest statement of each purpose; of the same instant the refusal."""
    found = connection.execute(
        "SELECT purpose, max(2 * time + 1 - granted) FROM consents WHERE identifier = ? "
        "GROUP BY purpose",
        (name,),
    )
    for purpose, newest in found:
        yield ConsentStatement(Purpose(purpose), newest % 2 == 0, instant(newest // 2))


def _statement(row: Sequence[Any]) -> ConsentStatement:
    purpose, granted, time, basis = row
    return ConsentStatement(Purpose(purpose), bool(granted), instant(time), basis)


def _fact(row: Sequence[Any]) -> CustomerFact:
    position, fact, identifier, other, name, value, granted, time, received = row
    return CustomerFact(
        Position(position),
        fact,
        identifier_of(identifier),
        identifier_of(other) if other else None,
        name,
        value,
        bool(granted),
        time,
        received,
    )
