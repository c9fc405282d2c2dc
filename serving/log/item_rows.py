"""The numbers of items: given once, in the order in which the log meets them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import apsw

from recsys.errors import Unavailable
from recsys.state import NO_ROW

_MOST_KNOWN = 500_000
_NO_ITEM = {"": -1}


class ItemRows:
    """The row of each item, as far as one connection has asked for it.

    Rows are never changed or deleted, so those once read may be remembered.
    """

    def __init__(self) -> None:
        self._known = dict(_NO_ITEM)

    def of(self, connection: apsw.Connection, item_ids: Sequence[str]) -> list[int]:
        """Return the row of each item, giving the next free ones to items never seen.

        -1 for the empty id. Raises Unavailable where all rows are given.
        """
        if len(self._known) > _MOST_KNOWN:
            self._known = dict(_NO_ITEM)
        known = self._known
        try:
            return list(map(known.__getitem__, item_ids))
        except KeyError:
            missing = [one for one in dict.fromkeys(item_ids) if one not in known]
        _number(connection, missing, known)
        return [known[item_id] for item_id in item_ids]


def _number(connection: apsw.Connection, item_ids: Sequence[str], rows: dict[str, int]) -> None:
    """Add the row of each item to `rows`, giving new ones to items that have none."""
    found: Iterable[tuple[Any, ...]] = connection.executemany(
        "SELECT item_id, row FROM items WHERE item_id = ?", [(item_id,) for item_id in item_ids]
    )
    rows.update((item_id, row) for item_id, row in found)
    unseen = [item_id for item_id in item_ids if item_id not in rows]
    first: int = connection.execute("SELECT coalesce(max(row), -1) + 1 FROM items").get
    if first + len(unseen) > NO_ROW:
        raise Unavailable(
            f"the log has numbers for {NO_ROW:,} items and all are given: start an installation "
            "anew with the items that are still sold",
            reason="TOO_MANY_ITEMS",
        )
    numbered = list(enumerate(unseen, start=first))
    connection.executemany("INSERT INTO items(row, item_id) VALUES(?, ?)", numbered)
    rows.update((item_id, row) for row, item_id in numbered)
