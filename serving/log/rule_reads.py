"""What the register of rules tells: what holds now, what was, and whether anything changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from recsys.events import Position
from recsys.fill_report import Unmet
from recsys.rules.book import RuleBook
from serving.log import rules
from serving.log.database import connect, said_as_unavailable
from serving.log.rules import RuleVersion

T = TypeVar("T")


class RuleReader:
    """One connection to a log, used by one thread at a time. Every method raises Unavailable."""

    def __init__(self, path: Path) -> None:
        with said_as_unavailable("open"):
            self._connection = connect(path)

    def close(self) -> None:
        """Let the file go."""
        self._connection.close(True)

    def position(self) -> Position:
        """Return the position of the newest change of any rule, 0 where there never was one."""
        return self._read(lambda: rules.newest_position(self._connection))

    def rules_now(self) -> list[RuleVersion]:
        """Return the newest version of every rule that is there, by name."""
        found = self._read(lambda: rules.newest(self._connection))
        return [one for one in found if one.there]

    def rule_history(self, name: str) -> list[RuleVersion]:
        """Return every version of a rule, the newest first."""
        return self._read(lambda: rules.history(self._connection, name))

    def book(self) -> RuleBook:
        """Return the rules as they are now, those set aside that cannot be read."""
        found = self._read(lambda: rules.newest(self._connection))
        position = max((one.position for one in found), default=Position(0))
        held = (one.rule for one in found if one.rule is not None)
        aside = (Unmet(one.name, one.unreadable) for one in found if one.unreadable)
        return RuleBook.of(held, position, aside)

    def _read(self, read: Callable[[], T]) -> T:
        with said_as_unavailable("be read"):
            return read()
