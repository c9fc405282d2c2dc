"""Rejected events as rows of the log's file: kept with the good ones, listed, taken out again."""

from __future__ import annotations

from collections.abc import Sequence

import apsw

from serving.log.event_log import Rejected
from serving.log.records import instant, microseconds

MOST_KEPT = 100_000
_NEWEST = (1 << 63) - 1


def keep(connection: apsw.Connection, rejected: Sequence[Rejected]) -> None:
    """Add rejected events, inside the caller's transaction; beyond 100,000 the oldest go."""
    connection.executemany(
        "INSERT INTO quarantine(received, reason, message, field, payload) VALUES(?, ?, ?, ?, ?)",
        [
            (microseconds(one.received), one.reason, one.message, one.field, one.payload)
            for one in rejected
        ],
    )
    oldest = connection.last_insert_rowid() - MOST_KEPT
    connection.execute("DELETE FROM quarantine WHERE number <= ?", (oldest,))


def listed(connection: apsw.Connection, limit: int, before: int) -> list[Rejected]:
    """Return the newest rejected events with a number below `before`, newest first; 0: all."""
    found = connection.execute(
        "SELECT payload, reason, message, field, received, number FROM quarantine "
        "WHERE number < ? ORDER BY number DESC LIMIT ?",
        (before or _NEWEST, limit),
    )
    return [
        Rejected(payload, reason, message, field, instant(received), number)
        for payload, reason, message, field, received, number in found
    ]


def resolve(connection: apsw.Connection, numbers: Sequence[int]) -> int:
    """Take rejected events out in one commit and return how many there were."""
    before = connection.total_changes()
    with connection:
        connection.executemany(
            "DELETE FROM quarantine WHERE number = ?", [(number,) for number in numbers]
        )
    return connection.total_changes() - before


def sweep(connection: apsw.Connection, before: int) -> None:
    """Forget what was rejected before an instant, in microseconds since 1970."""
    connection.execute("DELETE FROM quarantine WHERE received < ?", (before,))
