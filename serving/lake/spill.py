"""Folders for what memory cannot hold; one that a killed process left goes at the next chance."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

from recsys.errors import Unavailable

PREFIX = ".spill-"
_LOCK = "lock"


@contextmanager
def spill_folder(data_folder: Path) -> Iterator[Path]:
    """Give an empty folder in a data folder that goes with the block.

    Its owner holds a lock in it, which the system frees however the owner ends: folders without a
    living owner are removed first. Raises Unavailable where the disk refuses it.
    """
    try:
        _sweep(data_folder)
        folder, lock = _made(data_folder)
    except OSError as error:
        raise Unavailable(
            f"no folder for temporary files can be made in {data_folder}: {error}; make room on "
            "its disk, or point this command at another folder",
            reason="DISK_UNAVAILABLE",
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _sweep(data_folder: Path) -> None:
    """Remove the folders whose owners have died."""
    for folder in data_folder.glob(f"{PREFIX}*"):
        with suppress(OSError):  # another process removes it too, or its owner lives
            lock = _opened(folder)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def _made(data_folder: Path) -> tuple[Path, int]:
    """Return a new folder and its lock; another where a sweep took it before it was locked."""
    while True:
        folder = Path(mkdtemp(prefix=PREFIX, dir=data_folder))
        with suppress(FileNotFoundError):
            lock = _opened(folder)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _is_in(folder, lock):
                return folder, lock
            os.close(lock)


def _is_in(folder: Path, lock: int) -> bool:
    """Return whether this open lock is the one in the folder, not one that was swept."""
    try:
        return os.path.samestat(os.fstat(lock), (folder / _LOCK).stat())
    except FileNotFoundError:
        return False


def _opened(folder: Path) -> int:
    return os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
