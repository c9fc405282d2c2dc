"""The SQLite file behind the log: its tables, and how every connection to it is set up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from recsys.errors import Unavailable

BUSY_TIMEOUT_MS = 15_000
_CACHE_KIB = 65_536
_CHECKPOINT_PAGES = 8_192

_TABLES = """
CREATE TABLE IF NOT EXISTS records(
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    item_row INTEGER NOT NULL,
    payload BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS items(row INTEGER PRIMARY KEY, item_id TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS digests(digest BLOB PRIMARY KEY, day INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS quarantine(
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    received INTEGER NOT NULL,
    field TEXT NOT NULL,
    reason TEXT NOT NULL,
    payload TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS marks(name TEXT PRIMARY KEY, position INTEGER NOT NULL);
"""


def connect(path: Path) -> apsw.Connection:
    """Return a connection to the log at `path`, made with its tables where it is new.

    Every commit through it is on the disk before it returns (WAL, `synchronous=FULL`), and
    deleted rows are overwritten. Raises apsw.Error where the file cannot be used.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    try:
        _prepare(connection)
    except BaseException:
        connection.close(True)
        raise
    return connection


@contextmanager
def said_as_unavailable(doing: str) -> Iterator[None]:
    """Raise Unavailable for whatever the database cannot do inside the block."""
    try:
        yield
    except (apsw.Error, OSError) as error:
        raise unavailable(doing, error) from error


def unavailable(doing: str, error: Exception) -> Unavailable:
    """Return the error that tells a caller what the log could not do, and why."""
    return Unavailable(
        f"the event log cannot {doing}: {error}. Check free space and the health of the disk "
        "that holds the data folder, then try again",
        reason="LOG_UNAVAILABLE",
    )


def _prepare(connection: apsw.Connection) -> None:
    connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
    _to_wal(connection)
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA secure_delete=ON")
    connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
    connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}").fetchall()
    if connection.execute("SELECT count(*) FROM sqlite_master WHERE name='marks'").get == 0:
        connection.execute(f"BEGIN IMMEDIATE; {_TABLES} COMMIT")


def _to_wal(connection: apsw.Connection) -> None:
    """Switch to WAL; SQLite does not wait by itself while another process does the same."""
    deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1_000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except apsw.BusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
