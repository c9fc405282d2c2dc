"""The lock on a data folder: one supervisor, or one job that stands in for it, at a time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from recsys.errors import Unavailable
from serving.disk import make_private

DATA_FOLDER_TAKEN = "DATA_FOLDER_TAKEN"


class DataFolderLock:
    """Holds `lock` in a data folder while the block runs; the system frees it if we die.

    The file holds the process id of the holder. Raises Unavailable, reason DATA_FOLDER_TAKEN,
    where another process holds it.
    """

    def __init__(self, data_folder: Path) -> None:
        self._path = data_folder / "lock"
        self._descriptor = -1

    def __enter__(self) -> Self:
        try:
            make_private(self._path.parent)
            self._descriptor = self._taken()
        except OSError as error:
            raise Unavailable(
                f"the data folder {self._path.parent} cannot be written: {error}; make room on "
                "its disk, or point this command at another folder",
                reason="DISK_UNAVAILABLE",
            ) from error
        return self

    def _taken(self) -> int:
        """Return the descriptor of the locked file, with our process id in it."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise Unavailable(
                f"the data folder {self._path.parent} is in use by process {holder}; "
                "stop it, or point this command at another folder",
                reason=DATA_FOLDER_TAKEN,
                metadata={"pid": holder},
            ) from error
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)
        self._descriptor = -1
