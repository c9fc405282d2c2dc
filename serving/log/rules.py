"""The register of rules: every version of each, in the same file and commits as the log.

What a rule said is kept for good, with who changed it and why; the newest version is what holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import orjson

from recsys.errors import RecsysError
from recsys.events import Position
from recsys.rules.files import document_of, rule_of
from recsys.rules.rule import Rule
from serving.log.items import Connection
from serving.log.records import instant

TABLE = """
CREATE TABLE IF NOT EXISTS rules(
    position INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    received INTEGER NOT NULL,
    author TEXT NOT NULL,
    reason TEXT NOT NULL,
    payload BLOB,
    UNIQUE(name, version));
"""
"""version: from 1, each one more than that before. payload: JSON of the rule; null for one that was
removed. received: microseconds since 1970."""

_NEWEST = """
SELECT position, name, version, received, author, reason, payload FROM rules AS one
WHERE version = (SELECT max(version) FROM rules WHERE name = one.name) ORDER BY name"""
_HISTORY = """
SELECT position, name, version, received, author, reason, payload FROM rules
WHERE name = ? ORDER BY version DESC"""


@dataclass(frozen=True, slots=True)
class RuleRemoval:
    """Takes a rule away; its history stays."""

    name: str


RuleChange = Rule | RuleRemoval


@dataclass(frozen=True, slots=True)
class Signature:
    """Who changed something, and why."""

    author: str
    reason: str


@dataclass(frozen=True, slots=True)
class RuleVersion:
    """One version of a rule.

    rule: None where this removed it, or where it cannot be read. time: when it was made, UTC.
    unreadable: why it cannot be read, so that it is not in force; empty where it can.
    """

    name: str
    version: int
    rule: Rule | None
    by: Signature
    time: datetime
    position: Position
    unreadable: str = ""

    @property
    def there(self) -> bool:
        """Whether the rule was not removed."""
        return self.rule is not None or bool(self.unreadable)


@dataclass(frozen=True, slots=True)
class RulesChanged:
    """What became of changes of rules.

    changed: names of rules that are others than before. unchanged: changes that said what was
    known, or that another one in the same request overtook. missing: rules that were to be
    removed and are not there.
    """

    changed: tuple[str, ...]
    unchanged: int
    missing: tuple[str, ...]
    last_position: Position


class RuleRegister(Protocol):
    """Holds the rules of the shop, and what they were. Every method raises Unavailable."""

    async def change_rules(self, changes: Sequence[RuleChange], by: Signature) -> RulesChanged:
        """Make the changes, all or none; they are durable on return."""
        ...

    async def rules_now(self) -> Sequence[RuleVersion]:
        """Return the newest version of every rule that is there, by name."""
        ...

    async def rule_history(self, name: str) -> Sequence[RuleVersion]:
        """Return every version of a rule, the newest first; none where there never was one."""
        ...


def apply(
    connection: Connection,
    changes: Sequence[RuleChange],
    by: Signature,
    *,
    before: Position,
    received: int,
) -> RulesChanged:
    """Write what the changes, in their order, make of the rules, behind a position."""
    held = {one.name: one for one in newest(connection)}
    wanted = {change.name: change for change in changes}
    changed, missing, unchanged = [], [], len(changes) - len(wanted)
    position, said = int(before), (by.author, by.reason)
    for name, change in wanted.items():
        old = held.get(name)
        rule = change if isinstance(change, Rule) else None
        if rule is None and not (old and old.there):
            missing.append(name)
            continue
        if old and rule is not None and rule == old.rule:
            unchanged += 1
            continue
        position += 1
        payload = None if rule is None else orjson.dumps(document_of(rule))
        connection.execute(
            "INSERT INTO rules VALUES(?, ?, ?, ?, ?, ?, ?)",
            (position, name, (old.version if old else 0) + 1, received, *said, payload),
        )
        changed.append(name)
    return RulesChanged(tuple(changed), unchanged, tuple(missing), Position(position))


def newest(connection: Connection) -> list[RuleVersion]:
    """Return the newest version of every rule there ever was, by name."""
    return [_version(row) for row in connection.execute(_NEWEST)]


def history(connection: Connection, name: str) -> list[RuleVersion]:
    """Return every version of a rule, the newest first."""
    return [_version(row) for row in connection.execute(_HISTORY, (name,))]


def newest_position(connection: Connection) -> Position:
    """Return the position of the newest change of any rule, 0 where there never was one."""
    (found,) = connection.execute("SELECT coalesce(max(position), 0) FROM rules")
    return Position(found[0])


def _version(row: tuple[Any, ...]) -> RuleVersion:
    position, name, version, received, author, reason, payload = row
    rule, unreadable = (None, "") if payload is None else _read(name, payload)
    by = Signature(author, reason)
    return RuleVersion(name, version, rule, by, instant(received), Position(position), unreadable)


def _read(name: str, payload: bytes) -> tuple[Rule | None, str]:
    """Return the rule behind its payload, or why that is none, as after a change of the program."""
    try:
        return rule_of(name, orjson.loads(payload), at=f"rules.{name}"), ""
    except (RecsysError, orjson.JSONDecodeError) as error:
        return None, str(error)
