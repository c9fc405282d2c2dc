"""The cells of any SQLite file, read for a search; by the one engine that this process has.

A second copy of SQLite in a process breaks the locks of the first, so nothing else may open these.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw

Cell = tuple[str, str, bytes]
"""Table, column, and what stands there: the bytes of a text, or bytes."""


def cells(path: Path) -> Iterator[Cell]:
    """Yield every cell of every table that holds text or bytes. Raises OSError."""
    try:
        with closing(_opened(path)) as connection:
            names = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql IS NOT NULL"
            for (table,) in list(connection.execute(names)):
                yield from _in_table(connection, str(table))
    except apsw.Error as error:
        raise OSError(str(error)) from error


def _in_table(connection: apsw.Connection, table: str) -> Iterator[Cell]:
    columns = [
        str(name)
        for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))
    ]
    wanted = ", ".join(
        f"CASE WHEN typeof({_quoted(name)}) IN ('text', 'blob') "
        f"THEN CAST({_quoted(name)} AS BLOB) END"
        for name in columns
    )
    for row in connection.execute(f"SELECT {wanted} FROM {_quoted(table)}"):  # noqa: S608 - quoted names
        for name, value in zip(columns, row, strict=True):
            if isinstance(value, bytes):
                yield table, name, value


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _opened(path: Path) -> apsw.Connection:
    """Return a connection that writes nothing; to a file that is in use, or to a lone copy."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
    except apsw.CantOpenError:
        connection.close()
        flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        return apsw.Connection(f"{path.absolute().as_uri()}?immutable=1", flags=flags)
    return connection
