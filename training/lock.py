"""One training at a time in one data folder."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from recsys.data_folder import TRAINING_LOCK
from recsys.errors import Unavailable

_TRIES = 10
_PAUSE_S = 0.05


@contextmanager
def training_lock(data_folder: Path) -> Iterator[None]:
    """Hold the right to train in a data folder; the system frees it if we die.

    Raises Unavailable while another run holds it.
    """
    data_folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # it holds who bought what
    with (data_folder / TRAINING_LOCK).open("w") as file:
        if not _taken(file):
            raise Unavailable(
                f"another training run is at work in {data_folder}; wait for it, or stop it",
                reason="TRAINING_RUNS",
            )
        yield


def _taken(file: IO[str]) -> bool:
    """Return whether the lock is ours; whoever only asks after it has it for a moment."""
    for _ in range(_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE_S)
        else:
            return True
    return False
