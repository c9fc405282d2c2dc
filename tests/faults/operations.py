"""What a process does to the disk, one operation after the other, and how each can be made fail."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from enum import StrEnum

import apsw

OK = 0
FULL = apsw.SQLITE_FULL
WRITE_ERROR = apsw.SQLITE_IOERR_WRITE
SYNC_ERROR = apsw.SQLITE_IOERR_FSYNC


class Kind(StrEnum):
    """One kind of operation that outlives the process."""

    CREATE = "create"
    WRITE = "write"
    TRUNCATE = "truncate"
    SYNC = "sync"
    SYNC_FOLDER = "sync folder"
    RENAME = "rename"
    DELETE = "delete"


WRITING = frozenset({Kind.WRITE, Kind.TRUNCATE})
SYNCING = frozenset({Kind.SYNC, Kind.SYNC_FOLDER})
EVERYTHING = frozenset(Kind)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation on one file or folder.

    offset: where a write begins; the size a truncation leaves.
    content: what is written.
    target: the new path, of a rename.
    with_folder: whether the names of the file's folder are synced with it.
    """

    kind: Kind
    path: str
    offset: int = 0
    content: bytes = b""
    target: str = ""
    with_folder: bool = False


Fault = Callable[[Operation], int]
"""Returns OK to let an operation happen, or the code of SQLite it fails with."""


def no_fault(operation: Operation) -> int:
    """Let everything happen."""
    return OK


@dataclass
class FailsOnce:
    """Makes the n-th operation (from 1) of these kinds fail, on paths that end so."""

    n: int
    code: int
    kinds: Collection[Kind]
    ending: str = ""
    seen: int = field(default=0, init=False)

    def __call__(self, operation: Operation) -> int:
        if operation.kind not in self.kinds or not operation.path.endswith(self.ending):
            return OK
        self.seen += 1
        return self.code if self.seen == self.n else OK


@dataclass
class FailsUntilLifted:
    """Makes all operations of these kinds fail while it is `down`, on paths that end so."""

    code: int
    kinds: Collection[Kind]
    ending: str = ""
    down: bool = True

    def __call__(self, operation: Operation) -> int:
        concerned = operation.kind in self.kinds and operation.path.endswith(self.ending)
        return self.code if self.down and concerned else OK


@dataclass
class KillsAt:
    """Ends this process by SIGKILL in place of its n-th operation (from 1) of these kinds."""

    n: int
    kinds: Collection[Kind] = EVERYTHING
    seen: int = field(default=0, init=False)

    def __call__(self, operation: Operation) -> int:
        self.seen += operation.kind in self.kinds
        if self.seen == self.n:
            os.kill(os.getpid(), signal.SIGKILL)
        return OK
