"""Delta tables that survive a power cut: the engine itself does not fsync, so this does."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import orjson

from serving.disk import synced

_UNREADABLE = "unreadable"
_TORN = ".torn"
_MAGIC = b"PAR1"


def log_folder(table: Path) -> Path:
    """Return the folder that holds a Delta table's commits."""
    return table / "_delta_log"


def commits(table: Path) -> list[Path]:
    """Return the commit files of a table, oldest first."""
    return sorted(log_folder(table).glob("[0-9]*.json"))


def checkpoints(table: Path) -> list[Path]:
    """Return the checkpoint files of a table, oldest first."""
    return sorted(log_folder(table).glob("[0-9]*.checkpoint*.parquet"))


def make_durable(table: Path, new_commits: Sequence[Path]) -> None:
    """Return when these commits, the files they add and all folders up to them are on the disk.

    Data files and their folders go first, so that a commit that survives has its data.
    """
    files = [path for commit in new_commits for path, _ in _added(table, commit)]
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(synced, files))
        list(pool.map(synced, sorted({path.parent for path in files})))
    for path in (table.parent, table, *new_commits, log_folder(table)):
        synced(path)


def make_checkpoint_durable(table: Path) -> None:
    """Return when the table's newest checkpoint is on the disk."""
    folder = log_folder(table)
    for path in (*checkpoints(table)[-1:], folder / "_last_checkpoint", folder):
        if path.exists():
            synced(path)


def repair(table: Path) -> list[Path]:
    """Move aside what a power cut tore, and return it: the last commit, the last checkpoint.

    Only the last commit can be torn, because each is made durable before the next; and the
    rows in it are still in the log, which is trimmed later still. A whole last commit may come
    from a process that died before its fsync, or while it undid a failed one, after which another
    fsync of the same file proves nothing: it is written anew, with the files it adds.
    """
    last = commits(table)[-1:]
    torn_commit = [commit for commit in last if not _whole(table, commit)]
    torn = [*_torn_checkpoint(table), *torn_commit]
    if torn:
        move_aside(table, torn)
    if last and not torn_commit:
        for path in (*(path for path, _ in _added(table, last[0])), last[0]):
            _write_anew(path)
        make_durable(table, last)
    return torn


def _write_anew(path: Path) -> None:
    """Put a copy on the disk in place of a file."""
    copy = path.with_name(f".{path.name}.copy")
    try:
        shutil.copyfile(path, copy)
        synced(copy)
        copy.replace(path)
    except OSError:
        copy.unlink(missing_ok=True)
        raise


def move_aside(table: Path, files: Sequence[Path]) -> None:
    """Take files out of a table's log, keeping them beside it under another name."""
    for path in files:
        path.rename(path.with_name(path.name + _TORN))
    synced(log_folder(table))


def _torn_checkpoint(table: Path) -> list[Path]:
    """Return the checkpoint files to move aside.

    Only the newest can be torn. Commits are deleted behind older ones alone, which were made
    durable before, so nothing is missing without it. The name of a checkpoint may be lost that the
    pointer beside it names: then the pointer goes.
    """
    pointer, found = log_folder(table) / "_last_checkpoint", checkpoints(table)
    versions = {path.name[:20] for path in found}
    try:
        named = f"{orjson.loads(pointer.read_bytes())['version']:020}" if pointer.exists() else ""
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        named = _UNREADABLE
    torn = [path for path in found[-1:] if not _ends_in_magic(path)]
    if named == _UNREADABLE:
        return [*found[-1:], pointer]
    if torn or (named and named not in versions):
        return [path for path in (*torn, pointer) if path.exists()]
    return []


def _whole(table: Path, commit: Path) -> bool:
    """Return whether a commit file reads to its end and all files it adds are there in full."""
    try:
        return all(
            path.exists() and path.stat().st_size == size and _ends_in_magic(path)
            for path, size in _added(table, commit)
        ) and bool(commit.stat().st_size)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return False


def _added(table: Path, commit: Path) -> Iterable[tuple[Path, int]]:
    """Return path and size of each data file that a commit adds."""
    actions: list[dict[str, Any]] = [
        orjson.loads(line) for line in commit.read_bytes().splitlines() if line.strip()
    ]
    return [
        (table / unquote(action["add"]["path"]), action["add"]["size"])
        for action in actions
        if "add" in action
    ]


def _ends_in_magic(path: Path) -> bool:
    """Return whether a Parquet file has its last bytes."""
    if path.stat().st_size < len(_MAGIC):
        return False
    with path.open("rb") as file:
        file.seek(-len(_MAGIC), os.SEEK_END)
        return file.read() == _MAGIC
