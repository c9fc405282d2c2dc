"""The search is believed once it has found what was planted for it, in each kind of store."""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from recsys.customers import Identifier, IdKind
from recsys.errors import Unavailable
from serving.disk import make_private
from serving.erasure.places_found import searches_of
from serving.erasure.sought import Certainty, Sought
from serving.state.keys import StateKeys

_CHUNK = 4 << 20


@dataclass(frozen=True, slots=True)
class Plant:
    """One way in which a store can hold an id.

    make: writes a file that holds it so; given its hash, too. how: how the search says it found it.
    address: whether an e-mail address is planted, of someone who is known by its hash.
    """

    name: str
    file: str
    how: str
    make: Callable[[Path, Sought], None]
    address: bool = False

    def canary(self, keys: StateKeys) -> tuple[Sought, Sought]:
        """Return what is planted, and what is looked for then."""
        chance = f"canary-{token_hex(12)}"
        if not self.address:
            sought = Sought.of(Identifier(IdKind.USER, chance), keys)
            return sought, sought
        address = f"{chance}@example.org"
        planted = Sought(Identifier(IdKind.EMAIL, address))
        return planted, Sought.of(Identifier.of_email(address), keys)


def check_search(folder: Path, keys: StateKeys, plants: Sequence[Plant] | None = None) -> int:
    """Plant an id of chance in every way there is, and return how many were found: all.

    folder: for the plants, which are gone on return. Raises Unavailable where one is not found.
    """
    make_private(folder)
    tried = plants if plants is not None else every_plant()
    for number, plant in enumerate(tried):
        path, (planted, sought) = folder / f"{number}-{plant.file}", plant.canary(keys)
        try:
            plant.make(path, planted)
            if not _is_found(path, sought, plant.how):
                raise Unavailable(
                    f"the search does not find what is planted for it: {plant.name}. It cannot be "
                    "believed, so nothing was searched; report this as a defect",
                    reason="SEARCH_BLIND",
                )
        finally:
            for left in folder.glob(f"{path.name}*"):
                left.unlink()
    return len(tried)


def every_plant() -> list[Plant]:
    """Return every way in which a store can hold an id."""
    from serving.lake import plants  # not at the top: it loads the engine

    def text(make: Callable[[Path, str], None]) -> Callable[[Path, Sought], None]:
        return lambda path, sought: make(path, sought.value)

    return [
        *_OF_FILES,
        Plant("a column of a Parquet file", "a.parquet", "column", text(plants.in_a_text_column)),
        Plant("a dictionary page", "b.parquet", "column", text(plants.in_a_dictionary)),
        Plant("a column of large texts", "c.parquet", "column", text(plants.in_a_large_column)),
        Plant("a list in a Parquet file", "d.parquet", "column", text(plants.in_a_list)),
        Plant("bytes in a Parquet file", "e.parquet", "column", text(plants.in_bytes)),
        Plant("a Parquet footer", "f.parquet", "statistics", text(plants.in_statistics)),
        Plant(
            "a Delta checkpoint",
            "g.checkpoint.parquet",
            "column",
            text(plants.in_statistics_of_a_checkpoint),
        ),
    ]


def _is_found(path: Path, canary: Sought, how: str) -> bool:
    return any(
        where.startswith(how) and sure is Certainty.CERTAIN
        for one in sorted(path.parent.glob(f"{path.name}*"))
        for search in searches_of(one)
        for where, sure in search(one, canary)
    )


def _in_a_line(path: Path, sought: Sought) -> None:
    path.write_text(f"user_id,token\n{sought.value},t\n")


def _across_chunks(path: Path, sought: Sought) -> None:
    """Plant the id across the border of two chunks of the raw search."""
    path.write_bytes(b" " * (_CHUNK - len(sought.value) // 2) + sought.value.encode() + b" ")


def _in_json(path: Path, sought: Sought) -> None:
    path.write_text(json.dumps({"row": {"customer": sought.value}}) + "\n")


def _in_escaped_json(path: Path, sought: Sought) -> None:
    """Plant the id with its first character written as an escape."""
    escaped = f"\\u{ord(sought.value[0]):04x}{sought.value[1:]}"
    path.write_text(f'{{"{sought.identifier.kind.value}_id": "{escaped}"}}\n')


def _in_delta_statistics(path: Path, sought: Sought) -> None:
    stats = json.dumps({"minValues": {"user_id": sought.value}})
    path.write_text(json.dumps({"add": {"path": "part-0.parquet", "stats": stats}}) + "\n")


def _in_gzip(path: Path, sought: Sought) -> None:
    with gzip.open(path, "wt") as file:
        file.write(json.dumps({"user_id": sought.value}) + "\n")


def _in_a_cell(path: Path, sought: Sought) -> None:
    with closing(_database(path)) as database:
        database.execute("INSERT INTO links VALUES(?, NULL)", (f"user:{sought.value}",))
        database.commit()


def _in_bytes_of_a_cell(path: Path, sought: Sought) -> None:
    payload = json.dumps({"user_id": sought.value}).encode()
    with closing(_database(path)) as database:
        database.execute("INSERT INTO links VALUES('', ?)", (payload,))
        database.commit()


def _on_a_freed_page(path: Path, sought: Sought) -> None:
    """Plant the id where SQLite has deleted it without writing over it."""
    with closing(_database(path)) as database:
        database.execute("PRAGMA secure_delete=OFF")
        _in_bytes_then_gone(database, sought)
        database.commit()


def _in_write_ahead_log(path: Path, sought: Sought) -> None:
    """Plant the id in a frame of the write-ahead log, of which the tables say nothing any more."""
    with closing(_database(path)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA wal_autocheckpoint=0")
        database.execute("INSERT INTO links VALUES(?, NULL)", (f"user:{sought.value}",))
        database.commit()
        frames = path.with_name(path.name + "-wal").read_bytes()
    path.with_name(path.name + "-wal").write_bytes(frames)
    path.unlink()


def _in_bytes_then_gone(database: sqlite3.Connection, sought: Sought) -> None:
    payload = json.dumps({"user_id": sought.value}).encode() * 200
    database.execute("INSERT INTO links VALUES('', ?)", (payload,))
    database.commit()
    database.execute("DELETE FROM links")


def _database(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE links(identifier TEXT, payload BLOB)")
    database.commit()
    return database


def _in_an_append_only_file(path: Path, sought: Sought) -> None:
    """Plant the hash as Valkey writes a key into its history."""
    key = f"recsys:3:{{{sought.hashed.hex()}}}"
    path.write_bytes(f"*2\r\n$3\r\nGET\r\n${len(key)}\r\n{key}\r\n".encode())


def _in_a_snapshot(path: Path, sought: Sought) -> None:
    """Plant the hash as a profile of somebody else names it."""
    path.write_bytes(b"REDIS0011" + bytes(18) + sought.hashed + b"\xff")


_OF_FILES = [
    Plant("a line of a table", "a.csv", "raw", _in_a_line),
    Plant("the border of two chunks", "b.bin", "raw", _across_chunks),
    Plant("a line of JSON", "c.jsonl", "field", _in_json),
    Plant("an escape in JSON", "d.jsonl", "field", _in_escaped_json),
    Plant("the statistics of a Delta commit", "e.json", "field", _in_delta_statistics),
    Plant("a packed file", "f.jsonl.gz", "packed", _in_gzip),
    Plant("a cell of SQLite", "g.sqlite", "cell", _in_a_cell),
    Plant("bytes in a cell of SQLite", "h.sqlite", "cell", _in_bytes_of_a_cell),
    Plant("a freed page of SQLite", "i.sqlite", "raw", _on_a_freed_page),
    Plant("a write-ahead log of SQLite", "j.sqlite", "raw", _in_write_ahead_log),
    Plant("an append-only file of Valkey", "k.aof", "raw", _in_an_append_only_file),
    Plant("a snapshot of Valkey", "l.rdb", "raw", _in_a_snapshot),
    Plant("an address in a line of a table", "m.csv", "raw", _in_a_line, address=True),
    Plant("an address in escaped JSON", "n.jsonl", "field", _in_escaped_json, address=True),
    Plant("an address in a packed file", "o.jsonl.gz", "packed", _in_gzip, address=True),
    Plant("an address in a cell of SQLite", "p.sqlite", "cell", _in_a_cell, address=True),
    Plant("an address across two chunks", "q.bin", "raw", _across_chunks, address=True),
]
