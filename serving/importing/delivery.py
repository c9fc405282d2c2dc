"""From the log to the lake after an import: drain it here, or let the server do so that runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from recsys.errors import Unavailable
from recsys.events import Position
from serving.clock import utc_now
from serving.lake.drain import DRAIN_ASKED_THROUGH, Drain
from serving.lake.lake import Lake
from serving.lock import DATA_FOLDER_TAKEN, DataFolderLock
from serving.log.tail import LogTail
from serving.settings import ServingSettings

Delivery = Callable[[Position, bool], None]
"""Told the position drained so far, and whether another process (True) does the draining."""

_POLL_SECONDS = 0.5
_RECORDS_A_STEP = 100_000
"""Half the drain's own, which takes 40 % more memory; fewer make many small files."""


def log_path(data_folder: Path) -> Path:
    """Return the path of the log in a data folder."""
    return data_folder / "log" / "log.sqlite"


def deliver(data_folder: Path, through: Position, delivery: Delivery) -> None:
    """Return once the lake holds every record up to `through`.

    Drains itself while no server holds the data folder; otherwise asks the server, and takes
    over should that stop. Raises Unavailable.
    """
    tail = LogTail(log_path(data_folder))
    try:
        tail.set_mark(DRAIN_ASKED_THROUGH, through)
        while tail.drained_through < through:
            if not _drained_here(data_folder, tail, delivery):
                delivery(tail.drained_through, True)
                time.sleep(_POLL_SECONDS)
    finally:
        tail.close()


def tidy(settings: ServingSettings) -> None:
    """Tidy the lake and write its customers table; a server that runs does so by itself.

    Raises Unavailable.
    """
    with _lake_if_free(settings.data_folder) as lake:
        if lake is not None:
            for _ in lake.tidy(settings.keeping, utc_now()):
                continue
            lake.write_customers(settings.robot_rule)


def _drained_here(data_folder: Path, tail: LogTail, delivery: Delivery) -> bool:
    """Drain the log; return False, with nothing done, where another process holds the folder."""
    with _lake_if_free(data_folder) as lake:
        if lake is None:
            return False
        for step in Drain(tail, lake).run(_RECORDS_A_STEP):
            delivery(step.position, False)
    return True


@contextmanager
def _lake_if_free(data_folder: Path) -> Iterator[Lake | None]:
    """Give the lake, ready to be written, or None while another process holds the folder."""
    with ExitStack() as stack:
        try:
            stack.enter_context(DataFolderLock(data_folder))
        except Unavailable as error:
            if error.reason != DATA_FOLDER_TAKEN:
                raise
            yield None
            return
        lake = Lake(data_folder / "lake")
        lake.open()
        yield lake
