"""Sees every write, truncation, sync, creation and deletion of SQLite's files before it happens.

SQLite reaches the disk through a table of C functions, its VFS. The interposer puts functions of
Python into the table of the default VFS. What Python offers for that by itself, a VFS class of
apsw, has no shared memory, so the log's WAL mode would not work through it.
"""

from __future__ import annotations

import ctypes
import os
from _ctypes import CFuncPtr
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int, c_int64, c_void_p

import apsw

from tests.faults.operations import Kind, Operation

Performed = Callable[[Operation, Callable[[], int]], int]
"""Given an operation and what does it, returns SQLite's code: what that returned, or a failure."""

_N_METHODS = 18
_WRITE, _TRUNCATE, _SYNC = 2, 3, 4
# A name is an address here: SQLite keeps it, and bytes of Python would be a copy.
_OpenFunction = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p)
_DeleteFunction = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int)
_WriteFunction = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_TruncateFunction = CFUNCTYPE(c_int, c_void_p, c_int64)
_SyncFunction = CFUNCTYPE(c_int, c_void_p, c_int)


class _Vfs(ctypes.Structure):
    """The head of a sqlite3_vfs."""

    _fields_ = (
        ("version", c_int),
        ("file_bytes", c_int),
        ("longest_path", c_int),
        ("next", c_void_p),
        ("name", c_char_p),
        ("app_data", c_void_p),
        ("open", c_void_p),
        ("delete", c_void_p),
    )


class _Methods(ctypes.Structure):
    """A sqlite3_io_methods of version 3."""

    _fields_ = (("version", c_int), ("functions", c_void_p * _N_METHODS))


class _File(ctypes.Structure):
    """The head of a sqlite3_file."""

    _fields_ = (("methods", POINTER(_Methods)),)


class _Table:
    """The patched functions of one process. They live as long as it does: files keep them."""

    def __init__(self) -> None:
        self.performed: Performed = _only_done
        self._paths: dict[int, str] = {}
        self._new: set[int] = set()
        self._patched: dict[int, _Methods] = {}
        self._kept: list[CFuncPtr] = []
        self._vfs = _default_vfs()
        self._original = (self._vfs.open, self._vfs.delete)
        self._open: Callable[..., int] = _OpenFunction(self._vfs.open)
        self._delete: Callable[..., int] = _DeleteFunction(self._vfs.delete)
        self._ours = tuple(
            ctypes.cast(self._keep(one), c_void_p).value
            for one in (_OpenFunction(self._opened), _DeleteFunction(self._deleted))
        )

    def put_in(self) -> None:
        """Let SQLite call ours from now on, for files opened from now on."""
        self._vfs.open, self._vfs.delete = self._ours

    def take_out(self) -> None:
        """Give SQLite its own functions back; files that are still open pass through ours."""
        self._vfs.open, self._vfs.delete = self._original
        self.performed = _only_done

    def _opened(self, vfs: int, name: int | None, file: int, flags: int, out: int) -> int:
        existed = name is not None and os.path.exists(_text(name))
        code: int = self._open(vfs, name, file, flags, out)
        if code or name is None:
            return code
        self._paths[file] = _text(name)
        self._new.discard(file)
        if not existed:
            self._new.add(file)
            self.performed(Operation(Kind.CREATE, self._paths[file]), lambda: 0)
        head = ctypes.cast(file, POINTER(_File)).contents
        head.methods = ctypes.pointer(self._methods(head.methods))
        return code

    def _deleted(self, vfs: int, name: int, sync_folder: int) -> int:
        path = _text(name)
        if not os.path.exists(path):
            return self._delete(vfs, name, sync_folder)
        operation = Operation(Kind.DELETE, path, with_folder=bool(sync_folder))
        return self.performed(operation, lambda: self._delete(vfs, name, sync_folder))

    def _methods(self, original: ctypes._Pointer[_Methods]) -> _Methods:
        """Return a copy of a table of methods with ours in it, one for each original."""
        address = ctypes.addressof(original.contents)
        if address not in self._patched:
            methods = _Methods.from_buffer_copy(original.contents)
            functions = methods.functions
            for place, made in (
                (_WRITE, self._writing(_WriteFunction(functions[_WRITE]))),
                (_TRUNCATE, self._truncating(_TruncateFunction(functions[_TRUNCATE]))),
                (_SYNC, self._syncing(_SyncFunction(functions[_SYNC]))),
            ):
                functions[place] = ctypes.cast(self._keep(made), c_void_p).value
            self._patched[address] = methods
            self._patched[ctypes.addressof(methods)] = methods
        return self._patched[address]

    def _writing(self, original: Callable[..., int]) -> CFuncPtr:
        def write(file: int, source: int, n_bytes: int, offset: int) -> int:
            content = ctypes.string_at(source, n_bytes)
            operation = Operation(Kind.WRITE, self._paths[file], offset=offset, content=content)
            return self.performed(operation, lambda: original(file, source, n_bytes, offset))

        return _WriteFunction(write)

    def _truncating(self, original: Callable[..., int]) -> CFuncPtr:
        def truncate(file: int, size: int) -> int:
            operation = Operation(Kind.TRUNCATE, self._paths[file], offset=size)
            return self.performed(operation, lambda: original(file, size))

        return _TruncateFunction(truncate)

    def _syncing(self, original: Callable[..., int]) -> CFuncPtr:
        def sync(file: int, flags: int) -> int:
            path = self._paths[file]
            # SQLite syncs the folder with the first sync of a journal or WAL that it made.
            with_folder = file in self._new and path.endswith(("-wal", "-journal"))
            operation = Operation(Kind.SYNC, path, with_folder=with_folder)
            code = self.performed(operation, lambda: original(file, flags))
            if not code:
                self._new.discard(file)
            return code

        return _SyncFunction(sync)

    def _keep(self, function: CFuncPtr) -> CFuncPtr:
        self._kept.append(function)
        return function


@contextmanager
def interposed(performed: Performed) -> Iterator[None]:
    """Hand every operation on files that SQLite opens inside the block to `performed`."""
    table = _table()
    table.performed = performed
    table.put_in()
    try:
        yield
    finally:
        table.take_out()


_tables: list[_Table] = []


def _table() -> _Table:
    if not _tables:
        _tables.append(_Table())
    return _tables[0]


def _default_vfs() -> _Vfs:
    found = c_void_p()
    connection = apsw.Connection(":memory:", vfs=apsw.vfs_names()[0])
    # A database in memory may use another VFS than files do, so the name is asked for above.
    connection.file_control("main", apsw.SQLITE_FCNTL_VFS_POINTER, ctypes.addressof(found))
    connection.close()
    return ctypes.cast(found, POINTER(_Vfs)).contents


def _text(address: int) -> str:
    return os.fsdecode(ctypes.string_at(address))


def _only_done(operation: Operation, do: Callable[[], int]) -> int:
    return do()
