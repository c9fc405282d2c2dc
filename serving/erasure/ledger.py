"""The ledger of erasures: who is to be forgotten, as hashes, for as long as the shop exists."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import orjson

from recsys.customers import Identifier
from recsys.errors import Unavailable
from recsys.events import Position
from serving.disk import make_private, synced
from serving.log.records import microseconds
from serving.state.keys import StateKeys, hash_in

_NEWLINE = b"\n"
_CHECK = re.compile(rb'\{"check":"([0-9a-f]{32})"\}')


@dataclass(frozen=True, slots=True)
class Entry:
    """One erasure.

    number: microseconds since 1970, made unique; erasures are done in its order.
    erasure_id: names its receipt. time: when it was asked for, UTC.
    position: of the newest record of the log then. hashes: of the identifiers, in hexadecimal.
    alone: whether linked identifiers were left out on purpose.
    """

    number: int
    erasure_id: str
    time: datetime
    position: Position
    hashes: tuple[str, ...]
    alone: bool = False

    @property
    def second(self) -> int:
        """The second since 1970 through whose end everything of these identifiers is gone."""
        return int(self.time.timestamp())

    def to_json(self) -> bytes:
        """Return the entry's line, without its end."""
        return orjson.dumps({**asdict(self), "time": self.time.isoformat()})

    @classmethod
    def of_json(cls, line: bytes) -> Self | None:
        """Return the entry of a line, None for one that is torn."""
        try:
            found: dict[str, Any] = orjson.loads(line)
            time = datetime.fromisoformat(found.pop("time")).astimezone(UTC)
            return cls(**{**found, "time": time, "hashes": tuple(found["hashes"])})
        except (orjson.JSONDecodeError, TypeError, ValueError, KeyError):
            return None


class Ledger:
    """Reads and adds to the ledger in one file; any process may add.

    What is read is kept until the file changes. Before the first entry stands what tells the secret
    of its hashes from another; one of an earlier version gets it later. Every method raises
    Unavailable.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, ...] = ()
        self._entries: tuple[Entry, ...] = ()

    def entries(self) -> tuple[Entry, ...]:
        """Return all erasures, in their order; the same tuple until there is another one."""
        with _explained(self._path):
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._entries = tuple(_read(self._path))
                self._stamp = stamp
        return self._entries

    def add(
        self,
        identifiers: Iterable[Identifier],
        keys: StateKeys,
        *,
        now: datetime,
        position: Position,
        alone: bool = False,
    ) -> Entry:
        """Note an erasure durably and return it. now: UTC.

        Raises ValueError where the ledger is of another secret.
        """
        hashes = tuple(sorted(hash_of(one, keys).hex() for one in identifiers))
        with _explained(self._path), _locked(self._path) as file:
            if not self.is_of(keys):
                raise ValueError(f"{self._path} is of another secret")
            last = max((one.number for one in _read(self._path)), default=0)
            number = max(last + 1, microseconds(now))
            entry = Entry(number, uuid4().hex, now, position, hashes, alone)
            checked = [] if _checks(self._path) else [_check_line(keys)]
            self._append(file, [*checked, entry.to_json()])
        return entry

    def note_check(self, keys: StateKeys) -> None:
        """Note durably which secret its hashes are of, where it does not say so yet."""
        with _explained(self._path), _locked(self._path) as file:
            if not _checks(self._path):
                self._append(file, [_check_line(keys)])

    def _append(self, file: Any, lines: Sequence[bytes]) -> None:
        torn = file.tell() and not self._path.read_bytes().endswith(_NEWLINE)
        os.write(file.fileno(), _NEWLINE.join([*([b""] if torn else []), *lines, b""]))
        os.fsync(file.fileno())
        synced(self._path.parent)

    def is_of(self, keys: StateKeys) -> bool:
        """Return whether its hashes are of this secret, as far as it says so."""
        with _explained(self._path):
            return _checks(self._path) <= {keys.check}


def hash_of(identifier: Identifier, keys: StateKeys) -> bytes:
    """Return the 16 bytes under which the ledger knows an identifier."""
    return hash_in(keys.customer(identifier.kind, identifier.value))


def owed(entries: Sequence[Entry], done: int) -> list[Entry]:
    """Return the erasures behind the number that a store has come to."""
    return [one for one in entries if one.number > done]


def _read(path: Path) -> Iterator[Entry]:
    entries = (Entry.of_json(line) for line in _lines(path) if line.strip())
    yield from sorted((one for one in entries if one is not None), key=lambda one: one.number)


def _checks(path: Path) -> set[bytes]:
    """Return what the secret of the hashes makes of a constant; none where it does not say."""
    found = (_CHECK.fullmatch(line) for line in _lines(path))
    return {bytes.fromhex(one[1].decode()) for one in found if one}


def _check_line(keys: StateKeys) -> bytes:
    return b'{"check":"%b"}' % keys.check.hex().encode()


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().splitlines()
    except FileNotFoundError:
        return []


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns


@contextmanager
def _locked(path: Path) -> Iterator[Any]:
    """Give the file, open for adding to it, while no other process adds."""
    make_private(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    with open(descriptor, "ab") as file:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield file


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"the ledger of erasures {path} cannot be used: {error}. Check its disk and owner; "
            "nobody is forgotten until it can be written",
            reason="LEDGER_UNAVAILABLE",
        ) from error
