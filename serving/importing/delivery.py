"""From the log to the lake after an import: drain it here, or wait for the server that does."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from recsys.errors import Unavailable
from recsys.events import Position
from serving.lock import DATA_FOLDER_TAKEN, DataFolderLock
from serving.log.drain import Drain
from serving.log.lake import Lake
from serving.log.tail import LogTail

Delivery = Callable[[Position, bool], None]
"""Told the position drained so far, and whether another process (True) does the draining."""

_POLL_SECONDS = 0.5


def log_path(data_folder: Path) -> Path:
    """Return the path of the log in a data folder."""
    return data_folder / "log" / "log.sqlite"


def deliver(data_folder: Path, through: Position, delivery: Delivery) -> None:
    """Return once the lake holds every record up to `through`.

    Drains itself while no server holds the data folder; otherwise waits for the server, and
    takes over should that stop. Raises Unavailable.
    """
    tail = LogTail(log_path(data_folder))
    try:
        while tail.drained_through < through:
            if not _drained_here(data_folder, tail, delivery):
                delivery(tail.drained_through, True)
                time.sleep(_POLL_SECONDS)
    finally:
        tail.close()


def _drained_here(data_folder: Path, tail: LogTail, delivery: Delivery) -> bool:
    """Drain the log; return False, with nothing done, where another process holds the folder."""
    try:
        with DataFolderLock(data_folder):
            lake = Lake(data_folder / "lake")
            lake.open()
            for step in Drain(tail, lake, data_folder / "releases").run():
                delivery(step.position, False)
    except Unavailable as error:
        if error.reason != DATA_FOLDER_TAKEN:
            raise
        return False
    return True
