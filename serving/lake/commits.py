"""One commit to a Delta table at a time, each on the disk before the next."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deltalake import DeltaTable, PostCommitHookProperties, WriterProperties

from serving.lake.durable import commits, make_checkpoint_durable, make_durable, move_aside

CHECKPOINT_EVERY = 50
COMPRESSED = WriterProperties(compression="ZSTD", compression_level=3)
NO_HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
"""Checkpoints and deletions are ours to make: the engine's own come before anything is durable."""


@contextmanager
def durable_commit(path: Path) -> Iterator[DeltaTable]:
    """Give a table to be written to; what was committed is on the disk when the block is over.

    Where anything fails the commit is undone: a second fsync after a failed one proves nothing.
    Its data files stay, named by nothing, until they are swept.
    """
    table = DeltaTable(path)
    before = table.version()
    try:
        yield table
        make_durable(path, _since(path, before))
    except BaseException:
        move_aside(path, _since(path, before))
        raise
    _checkpoint(path, before)


def _since(path: Path, version: int) -> list[Path]:
    return [commit for commit in commits(path) if int(commit.stem) > version]


def _checkpoint(path: Path, before: int) -> None:
    """Write a checkpoint now and then, only of commits that are on the disk already."""
    table = DeltaTable(path)
    if table.version() // CHECKPOINT_EVERY > before // CHECKPOINT_EVERY:
        table.create_checkpoint()
        make_checkpoint_durable(path)
