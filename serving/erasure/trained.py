"""Models that learned from somebody who is erased: which there are, and when they may go."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import orjson

from recsys.bundle import MANIFEST_FILE
from recsys.data_folder import TRAINING_LOCK
from recsys.releases import read_pointer, versions
from serving.erasure.places import Places

_ERASED_THROUGH = "erased_through"


def remove_models(places: Places, number: int) -> tuple[int, str]:
    """Remove what learned from whom an erasure names; return how many, and what is left and why.

    A run that reads the lake as it was may still write a model, so nothing is said to be gone
    while one is under way. Raises OSError.
    """
    if training_under_way(places.data_folder):
        return 0, "a training is under way, which may have read the customer's events"
    removed = len(remove_learned_before(places.releases, number))
    if old := learned_before(places.releases, number):
        return removed, f"to be replaced by `recsys train`: {', '.join(old)}"
    return removed + remove_copies_before(places.artifacts, number), ""


def training_under_way(data_folder: Path) -> bool:
    """Return whether a training run is at work in a data folder. Raises OSError."""
    try:
        descriptor = os.open(data_folder / TRAINING_LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def learned_before(releases: Path, number: int) -> list[str]:
    """Return the releases that may have learned from whom an erasure names, oldest first."""
    return [one for one in versions(releases) if _covered(releases / one) < number]


def remove_learned_before(releases: Path, number: int) -> list[str]:
    """Remove these releases once another is served; return those removed. Raises OSError.

    While one of them is served all stay: an answer from it is better than none, and so is the one
    before it should it have to be taken back.
    """
    old = learned_before(releases, number)
    if read_pointer(releases) in {*old, None}:
        return []
    for version in old:
        _remove(releases / version)
    return old


def remove_copies_before(artifacts: Path, number: int) -> int:
    """Remove such models from the records of runs; return how many. Raises OSError."""
    removed = 0
    for folder in list(_models_in(artifacts)):
        if _covered(folder) < number:
            _remove(folder)
            removed += 1
    return removed


def _models_in(artifacts: Path) -> Iterator[Path]:
    return (path.parent for path in artifacts.rglob(MANIFEST_FILE))


def _covered(folder: Path) -> int:
    """Return the newest erasure that was through in what a model learned from, 0 for none."""
    try:
        return int(orjson.loads((folder / MANIFEST_FILE).read_bytes()).get(_ERASED_THROUGH, 0))
    except (OSError, ValueError, TypeError, AttributeError):
        return 0


def _remove(folder: Path) -> None:
    """Remove a model; without its manifest it is none to anybody."""
    (folder / MANIFEST_FILE).unlink(missing_ok=True)
    shutil.rmtree(folder)
