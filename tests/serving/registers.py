"""A register of items in memory, which can be told to fail."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from recsys.errors import Unavailable
from recsys.events import Position
from recsys.ids import ItemId
from recsys.items import Item
from serving.log.items import RegisteredItem

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
"""When all its items were described first."""


@dataclass
class Register:
    """Holds the newest change of each row; failing: whether it can be read."""

    rows: dict[int, RegisteredItem] = field(default_factory=dict)
    last: int = 0
    failing: bool = False
    opened: int = 0

    def put(self, row: int, item_id: str, item: Item | None) -> None:
        """Note what is true of an item now."""
        self.last += 1
        self.rows[row] = RegisteredItem(row, ItemId(item_id), Position(self.last), item, NOON)

    def open(self) -> Register:
        """Return itself, as something that was opened."""
        self._check()
        self.opened += 1
        return self

    def close(self) -> None:
        """Do nothing."""

    def last_position(self) -> Position:
        """Return the highest position ever given."""
        self._check()
        return Position(self.last)

    def items_behind(self, after: Position, limit: int) -> list[RegisteredItem]:
        """Return at most `limit` items that changed behind a position, by ascending position."""
        self._check()
        changed = sorted(self.rows.values(), key=lambda one: one.position)
        return [one for one in changed if one.position > after][:limit]

    def _check(self) -> None:
        if self.failing:
            raise Unavailable("the log cannot be read", reason="LOG_UNAVAILABLE")
