"""One training at a time in one data folder."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recsys.errors import Unavailable


@contextmanager
def training_lock(data_folder: Path) -> Iterator[None]:
    """Hold the right to train in a data folder; the system frees it if we die.

    Raises Unavailable while another run holds it.
    """
    data_folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # it holds who bought what
    with (data_folder / "training.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Unavailable(
                f"another training run is at work in {data_folder}; wait for it, or stop it",
                reason="TRAINING_RUNS",
            ) from error
        yield
