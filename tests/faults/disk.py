"""The disk of this process, watched: each operation is noted, and fails where a fault says so.

Two ways lead to it. SQLite's is seen call by call. The lake's engine writes unseen, and nothing it
writes is durable until our own code syncs it; so what is seen are the syncs, renames and deletions
of Python, each with the whole tree as it stands at that moment.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import Any, Self

import pytest

from tests.faults.interposer import interposed
from tests.faults.operations import FULL, Fault, Kind, Operation, no_fault

Tree = Mapping[str, tuple[int, bytes] | None]
"""Path of each file, to its number and content; None for a folder. SQLite's files are not in it."""

_OF_SQLITE = (".sqlite", ".sqlite-wal", ".sqlite-shm", ".sqlite-journal")


@dataclass(frozen=True, slots=True)
class Step:
    """One operation as it went, with the engine's files as they stood before it.

    tree: None where they were not looked at, which is before each operation of SQLite.
    """

    operation: Operation
    code: int
    tree: Tree | None


class Disk:
    """Notes what happens below `root` while it is entered, and makes of it what `fault` says.

    steps: so far, in order.
    before: what the disk held at the start: by path, None for a folder. It is what the root
        shows then, or what `holding`, a copy of it, has: the system's cache may show more.
    """

    def __init__(self, root: Path, fault: Fault = no_fault, *, holding: Path | None = None) -> None:
        self.root = root.resolve()
        self.fault = fault
        self.steps: list[Step] = []
        self.before: dict[str, bytes | None] = {}
        self._holding = self.root if holding is None else holding
        self._acknowledged: list[tuple[int, tuple[str, ...]]] = []
        self._seen: dict[tuple[int, int, int], bytes] = {}
        self._held: dict[int, int] = {}
        self._lock = RLock()
        self._entered = ExitStack()

    def __enter__(self) -> Self:
        self.before = {
            str(self.root / path.relative_to(self._holding)): (
                None if path.is_dir() else path.read_bytes()
            )
            for path in sorted(self._holding.rglob("*"))
            if not path.name.endswith("-shm")
        }
        self._entered.enter_context(interposed(self._performed))
        patched = self._entered.enter_context(pytest.MonkeyPatch.context())
        for name, ours in self._patches().items():
            patched.setattr(os, name, ours)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._entered.close()
        for descriptor in self._held.values():
            os.close(descriptor)

    def acknowledge(self, ids: Collection[str]) -> None:
        """Note that these were promised to be kept, after what has happened so far."""
        self._acknowledged.append((len(self.steps), tuple(ids)))

    def acknowledged(self, n_steps: int) -> set[str]:
        """Return what was promised within the first `n_steps`."""
        return {one for at, ids in self._acknowledged if at <= n_steps for one in ids}

    def _performed(self, operation: Operation, do: Callable[[], int]) -> int:
        """Do an operation of SQLite, or fail, and note it."""
        if not operation.path.startswith(str(self.root)):
            return do()
        with self._lock:
            code = self.fault(operation) or do()
            self.steps.append(Step(operation, code, None))
            return code

    def _patches(self) -> Mapping[str, Callable[..., Any]]:
        """Return what stands in for functions of `os`, by name."""
        fsync, rename, replace, unlink = os.fsync, os.rename, os.replace, os.unlink

        def synced(descriptor: int) -> None:
            self._tried(self._sync_of(descriptor), lambda: fsync(descriptor))

        def renamed(source: str, target: str, **more: Any) -> None:
            operation = Operation(Kind.RENAME, os.fspath(source), target=os.fspath(target))
            self._tried(operation, lambda: rename(source, target, **more))

        def replaced(source: str, target: str, **more: Any) -> None:
            operation = Operation(Kind.RENAME, os.fspath(source), target=os.fspath(target))
            self._tried(operation, lambda: replace(source, target, **more))

        def deleted(path: str, **more: Any) -> None:
            self._tried(Operation(Kind.DELETE, os.fspath(path)), lambda: unlink(path, **more))

        return {"fsync": synced, "rename": renamed, "replace": replaced, "unlink": deleted}

    def _tried(self, operation: Operation, do: Callable[[], None]) -> None:
        """Do an operation of Python's, or raise OSError, and note it with the tree before it."""
        if not operation.path.startswith(str(self.root)):
            return do()
        with self._lock:
            tree = self._tree()
            code = self.fault(operation)
            self.steps.append(Step(operation, code, tree))
        if code:
            number = errno.ENOSPC if code == FULL else errno.EIO
            raise OSError(number, os.strerror(number), operation.path)
        return do()

    def _sync_of(self, descriptor: int) -> Operation:
        """Return the sync of an open file or folder, found below the root by its number."""
        wanted = os.fstat(descriptor)
        for path in (self.root, *self.root.rglob("*")):
            try:
                if os.path.samestat(path.stat(), wanted):
                    kind = Kind.SYNC_FOLDER if path.is_dir() else Kind.SYNC
                    return Operation(kind, str(path))
            except FileNotFoundError:
                continue
        return Operation(Kind.SYNC, "")

    def _tree(self) -> Tree:
        """Return the engine's files and all folders as they are."""
        tree: dict[str, tuple[int, bytes] | None] = {}
        for path in self.root.rglob("*"):
            try:
                if path.is_dir():
                    tree[str(path)] = None
                elif not path.name.endswith(_OF_SQLITE):
                    tree[str(path)] = self._content(path)
            except FileNotFoundError:  # a temporary file of the engine
                continue
        return tree

    def _content(self, path: Path) -> tuple[int, bytes]:
        """Return a file's number and content. It is held open, so its number stays its own."""
        found = path.stat()
        if found.st_ino not in self._held:
            self._held[found.st_ino] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        name = (found.st_ino, found.st_size, found.st_mtime_ns)
        if name not in self._seen:
            self._seen[name] = path.read_bytes()
        return found.st_ino, self._seen[name]
