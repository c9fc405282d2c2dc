"""Rejected events as rows of the log's file: kept with the good ones, listed, taken out again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import accumulate, chain
from typing import Any

import apsw

from serving.log.event_log import Rejected
from serving.log.records import instant, microseconds

MOST_KEPT = 100_000
MOST_KEPT_BYTES = 256 << 20
_NEWEST = (1 << 63) - 1

_Rows = Iterable[tuple[Any, ...]]


def keep(connection: apsw.Connection, rejected: Sequence[Rejected]) -> None:
    """Add rejected events, inside the caller's transaction; then the oldest go.

    Those stay that are among the last 100,000 and within the last 256 MiB of payload.
    """
    before: int | None = connection.execute(
        "SELECT through FROM quarantine ORDER BY number DESC LIMIT 1"
    ).get
    sizes = (len(one.payload.encode()) for one in rejected)
    _, *through = accumulate(chain([before or 0], sizes))
    connection.executemany(
        "INSERT INTO quarantine(received, reason, message, field, through, payload) "
        "VALUES(?, ?, ?, ?, ?, ?)",
        [
            (microseconds(one.received), one.reason, one.message, one.field, end, one.payload)
            for one, end in zip(rejected, through, strict=True)
        ],
    )
    _drop_oldest(connection, before=through[-1] - MOST_KEPT_BYTES)


def listed(connection: apsw.Connection, limit: int, before: int) -> list[Rejected]:
    """Return the newest rejected events with a number below `before`, newest first; 0: all."""
    found: _Rows = connection.execute(
        "SELECT payload, reason, message, field, received, number FROM quarantine "
        "WHERE number < ? ORDER BY number DESC LIMIT ?",
        (before or _NEWEST, limit),
    )
    return _rejected(found)


def listed_after(connection: apsw.Connection, limit: int, after: int) -> list[Rejected]:
    """Return the oldest rejected events with a number above `after`, oldest first."""
    found: _Rows = connection.execute(
        "SELECT payload, reason, message, field, received, number FROM quarantine "
        "WHERE number > ? ORDER BY number LIMIT ?",
        (after, limit),
    )
    return _rejected(found)


def counts(connection: apsw.Connection) -> Mapping[tuple[str, str], int]:
    """Return how many are kept, by their field and reason; the payloads are not read."""
    found: _Rows = connection.execute(
        "SELECT field, reason, count(*) FROM quarantine GROUP BY field, reason"
    )
    return {(field, reason): count for field, reason, count in found}


def received(connection: apsw.Connection, numbers: Sequence[int]) -> Mapping[int, datetime]:
    """Return when the events of these numbers came, as far as they are kept."""
    found: _Rows = connection.executemany(
        "SELECT number, received FROM quarantine WHERE number = ?",
        [(number,) for number in numbers if 0 < number <= _NEWEST],
    )
    return {number: instant(came) for number, came in found}


def resolve(connection: apsw.Connection, numbers: Sequence[int]) -> int:
    """Take rejected events out in one commit and return how many there were."""
    before = connection.total_changes()
    with connection:
        connection.executemany(
            "DELETE FROM quarantine WHERE number = ?",
            [(number,) for number in numbers if 0 < number <= _NEWEST],
        )
    return connection.total_changes() - before


def resolve_all(connection: apsw.Connection) -> int:
    """Take all rejected events out and return how many there were."""
    before = connection.total_changes()
    connection.execute("DELETE FROM quarantine")
    return connection.total_changes() - before


def sweep(connection: apsw.Connection, before: int) -> None:
    """Forget what was rejected before an instant, in microseconds since 1970."""
    connection.execute("DELETE FROM quarantine WHERE received < ?", (before,))


def _rejected(found: _Rows) -> list[Rejected]:
    return [
        Rejected(payload, reason, message, field, instant(received), number)
        for payload, reason, message, field, received, number in found
    ]


def _drop_oldest(connection: apsw.Connection, *, before: int) -> None:
    """Delete what is too many, and what begins before this count of bytes.

    Only the rows that go are looked at, and one more; none is read to its end.
    """
    oldest = connection.last_insert_rowid() - MOST_KEPT
    stays: int | None = connection.execute(
        "SELECT number FROM quarantine "
        "WHERE number > ? AND through - octet_length(payload) >= ? ORDER BY number LIMIT 1",
        (oldest, before),
    ).get
    connection.execute("DELETE FROM quarantine WHERE number < ?", (stays or _NEWEST,))
