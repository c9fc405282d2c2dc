"""What leaves the lake: days out of keeping, files that nothing names, commits long past.

Only what a durable commit or checkpoint has made superfluous is ever deleted, so a power cut in
the middle leaves too much, never too little.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from serving.disk import synced
from serving.lake.commits import COMPRESSED, NO_HOOKS, durable_commit
from serving.lake.durable import checkpoints, commits, log_folder, make_checkpoint_durable


def drop_days(path: Path, before: date) -> bool:
    """Take the days before a date out of a table; return whether there were any.

    Whole files go out of the table's newest version; they are deleted when they are swept.
    """
    files = pa.table(DeltaTable(path).get_add_actions(flatten=True))
    if not pc.any(pc.less(files["partition.day"], pa.scalar(before, pa.date32()))).as_py():
        return False
    with durable_commit(path) as table:
        table.delete(
            f"day < '{before.isoformat()}'",
            writer_properties=COMPRESSED,
            post_commithook_properties=NO_HOOKS,
        )
    return True


def sweep_files(path: Path, keep: timedelta) -> int:
    """Delete data files that no version younger than `keep` names; return how many went.

    Versions that old cannot be read any more. Files of commits that were undone go too.
    """
    unnamed = DeltaTable(path).vacuum(
        retention_hours=round(keep / timedelta(hours=1)),
        dry_run=True,  # the engine's own deletion writes two commits that are not durable
        enforce_retention_duration=False,
        full=True,
    )
    gone = [file for name in unnamed if (file := path / unquote(name)).exists()]
    for file in gone:  # the engine lists what was deleted before, too
        file.unlink()
        if file.parent != path and not any(file.parent.iterdir()):
            file.parent.rmdir()
    return len(gone)


def sweep_commits(path: Path, before: datetime) -> int:
    """Delete commits behind a durable checkpoint from before an instant; return how many went."""
    aged = [one for one in checkpoints(path) if one.stat().st_mtime < before.timestamp()]
    if not aged:
        return 0
    base = aged[-1]
    synced(base)
    make_checkpoint_durable(path)
    version = _version(base)
    gone = [file for file in (*commits(path), *checkpoints(path)) if _version(file) < version]
    for file in gone:
        file.unlink()
    synced(log_folder(path))
    return len(gone)


def _version(file: Path) -> int:
    return int(file.name.partition(".")[0])
