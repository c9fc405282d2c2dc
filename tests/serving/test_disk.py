"""Folders that we make are their owner's alone."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from serving.disk import make_private
from serving.importing.delivery import log_path
from serving.importing.rejects import Reject, RejectsFile
from serving.lake.lake import Lake
from serving.lock import DataFolderLock
from serving.log.tail import LogTail
from serving.state.keys import Secret
from training.lock import training_lock


def lock(folder: Path) -> None:
    with DataFolderLock(folder):
        pass


def train(folder: Path) -> None:
    with training_lock(folder):
        pass


def reject(folder: Path) -> None:
    with RejectsFile(folder / "rejects", Path("orders.csv")) as rejects:
        rejects.write([Reject(1, "time", "never", "a time", {})])


def read_log(folder: Path) -> None:
    LogTail(log_path(folder)).close()


def open_lake(folder: Path) -> None:
    Lake(folder / "lake").open()


def make_secret(folder: Path) -> None:
    Secret.load_or_create(folder / "secret")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("make", [lock, train, reject, read_log, open_lake, make_secret])
def test_data_folder_is_closed_to_others_whoever_makes_it(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    before = os.umask(0)
    try:
        make(tmp_path / "data")
    finally:
        os.umask(before)

    assert mode(tmp_path / "data") == 0o700


def test_folder_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o750)

    made = make_private(tmp_path / "data" / "log")

    assert made == [tmp_path / "data" / "log"]
    assert (mode(tmp_path / "data"), mode(made[0])) == (0o750, 0o700)


def test_file_in_place_of_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")

    with pytest.raises(OSError, match="data"):
        make_private(tmp_path / "data")
