"""The file in which the supervisor leaves what is counted, and from which workers take it."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import structlog

from recsys.models.trends import Activity, Trends
from serving.clock import Clock

log = structlog.get_logger("serving.trends")

STALE = timedelta(hours=1)
"""Counts older than this tell of no trend: whoever should count has not for long."""

_UNREADABLE = (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile)
"""What numpy and its archives raise for files that are missing or damaged."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What is written. at: when it was so. share: as `Memory.share`."""

    names: Sequence[str]
    activity: Activity
    share: float
    at: datetime


def write_counts(file: Path, counts: Counts) -> None:
    """Put the counts in the place of those of before. Raises OSError.

    They are written beside it first, so that a reader meets the old or the new ones, whole.
    """
    beside = file.with_name(f".{file.name}")
    activity = counts.activity
    with beside.open("wb") as opened:
        np.savez(
            opened,
            names=np.array([*counts.names], dtype=np.str_),
            keys=activity.keys,
            recent=activity.recent.astype(np.float32),
            usual=activity.usual.astype(np.float32),
            share=np.float64(counts.share),
            at=np.int64(counts.at.timestamp()),
        )
    os.replace(beside, file)


class TrendsFile:
    """Reads what was counted, whenever it is news. For one thread at a time.

    Without a file, with a damaged one, and with one that nobody renews, there are no trends, which
    is said once.
    """

    def __init__(self, file: Path, clock: Clock) -> None:
        self._file = file
        self._clock = clock
        self._seen: tuple[int, ...] = ()
        self._at = 0
        self._without = False

    def is_news(self) -> bool:
        """Return whether there is something that `read` has not returned yet. It costs little."""
        return self._look() != self._seen or (bool(self._at) and self._is_stale())

    def read(self) -> Trends:
        """Return what is counted now."""
        self._seen, self._at = self._look(), 0
        try:
            trends, self._at = _read(self._file)
        except _UNREADABLE as error:
            return self._none(f"{self._file} cannot be read: {type(error).__name__}")
        if self._is_stale():
            self._at = 0
            return self._none(f"{self._file} was not renewed for {STALE}")
        self._without = False
        return trends

    def _look(self) -> tuple[int, ...]:
        try:
            found = self._file.stat()
        except OSError:
            return ()
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _is_stale(self) -> bool:
        return self._clock().timestamp() - self._at > STALE.total_seconds()

    def _none(self, why: str) -> Trends:
        if not self._without:
            log.info("no trends for now", why=why)
        self._without = True
        return Trends.none()


def _read(file: Path) -> tuple[Trends, int]:
    """Return the trends in a file and when they were so, in seconds since 1970.

    Raises one of `_UNREADABLE`.
    """
    with file.open("rb") as opened, np.load(opened, allow_pickle=False) as found:
        keys = found["keys"].astype(np.int64)
        sums = (found[name].astype(np.float64) for name in ("recent", "usual"))
        names = [str(name) for name in found["names"]]
        activity = Activity(keys, *sums)
        return Trends.of(names, activity, float(found["share"])), int(found["at"])
