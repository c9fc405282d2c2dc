"""The SQLite file behind the log: its tables, and how every connection to it is set up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from recsys.errors import Unavailable
from serving.disk import make_private, synced
from serving.log import customers, items, rules

BUSY_TIMEOUT_MS = 15_000
_CACHE_KIB = 65_536
_CHECKPOINT_PAGES = 2_048  # 8 MiB: longer write-ahead logs append no faster and stall for longer

_TABLES = """
CREATE TABLE blocks(
    last INTEGER PRIMARY KEY AUTOINCREMENT,
    first INTEGER NOT NULL,
    received INTEGER NOT NULL,
    item_rows BLOB NOT NULL,
    payload BLOB NOT NULL);
CREATE TABLE digests(last INTEGER PRIMARY KEY, day INTEGER NOT NULL, digests BLOB NOT NULL);
CREATE TABLE quarantine(
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    received INTEGER NOT NULL,
    reason TEXT NOT NULL,
    message TEXT NOT NULL,
    field TEXT NOT NULL,
    through INTEGER NOT NULL,
    payload TEXT NOT NULL);
CREATE TABLE marks(name TEXT PRIMARY KEY, position INTEGER NOT NULL);
"""
"""blocks: the events (`serving.log.blocks`). digests: of the event ids of each commit, 16 bytes
each, under its last position and the day of its receipt; they outlive the events. quarantine:
rejected events; `through` counts the bytes of payload kept so far, this one's included."""


def connect(path: Path) -> apsw.Connection:
    """Return a connection to the log at `path`, made with its tables where it is new.

    Every commit through it is on the disk before it returns (WAL, `synchronous=FULL`), and
    deleted rows are overwritten. Raises apsw.Error or OSError where the file cannot be used, and
    Unavailable where it has the tables of an older version.
    """
    _make_folder(path.parent)
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    try:
        _prepare(connection)
    except BaseException:
        connection.close(True)
        raise
    return connection


def last_position(connection: apsw.Connection) -> int:
    """Return the highest position ever given; SQLite keeps it when blocks are deleted."""
    found: int | None = connection.execute(
        "SELECT max(seq) FROM sqlite_sequence WHERE name = 'blocks'"
    ).get
    return found or 0


def take_positions(connection: apsw.Connection, last: int) -> None:
    """Note that positions up to `last` are given, inside a transaction."""
    connection.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'blocks'", (last,))
    if not connection.changes():
        connection.execute("INSERT INTO sqlite_sequence(name, seq) VALUES('blocks', ?)", (last,))


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


def _make_folder(folder: Path) -> None:
    """Make a folder, and what is missing above it, so that a power cut does not undo it."""
    made = make_private(folder)
    for one in {folder, *made}:  # the folder each time: its last sync may have failed
        synced(one.parent)


def _prepare(connection: apsw.Connection) -> None:
    connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
    _to_wal(connection)
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA secure_delete=ON")
    connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
    connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}").fetchall()
    if not _has_tables(connection):
        _make_tables(connection)


def _has_tables(connection: apsw.Connection) -> bool:
    found = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if "records" in found or ("items" in found and "changed_items" not in found):
        raise Unavailable(
            f"the event log {connection.filename} was made by a version of this program that is "
            "no longer supported. Move the data folder aside and import its files into a new one",
            reason="LOG_OUTDATED",
        )
    return {"marks", "rules"} <= found


def _make_tables(connection: apsw.Connection) -> None:
    """Make the tables that are missing, unless another process made them at the same moment.

    A log from before there were rules has all but theirs.
    """
    connection.execute("BEGIN IMMEDIATE")
    found = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if "marks" not in found:
        connection.execute(_TABLES + items.TABLE + customers.TABLES)
    connection.execute(rules.TABLE)
    connection.execute("COMMIT")


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
