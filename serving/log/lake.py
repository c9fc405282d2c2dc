"""The lake: Delta tables of all events, items and item numbers, for training and erasure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import (
    CommitProperties,
    DeltaTable,
    PostCommitHookProperties,
    Transaction,
    WriterProperties,
    write_deltalake,
)
from deltalake.exceptions import DeltaError

from recsys.errors import Unavailable
from recsys.events import Position
from serving.log import schema
from serving.log.durable import (
    commits,
    make_checkpoint_durable,
    make_durable,
    move_aside,
    repair,
    synced,
)

_DRAIN = "drain"
_NUMBERED = "vocabulary"
_CHECKPOINT_EVERY = 50
_NO_HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)


@dataclass(frozen=True, slots=True)
class Drawn:
    """What one drain takes out of the log.

    events, items, vocabulary: rows of the schemas of those names.
    position: of the last record among them, or behind the last.
    """

    events: pa.Table
    items: pa.Table
    vocabulary: pa.Table
    position: Position


class Lake:
    """Delta tables in one folder, written by one process at a time (who holds the folder's lock).

    Each table remembers the last position it holds, in the same commit as the rows, so that
    writing the same records again adds nothing.
    """

    def __init__(self, folder: Path) -> None:
        self.events = folder / "events"
        self.items = folder / "items"
        self.vocabulary = folder / "vocabulary"

    def open(self) -> list[Path]:
        """Make missing tables, and return files of a torn last commit that were moved aside."""
        with said_as_unavailable():
            torn = [path for table in self._tables() for path in repair(table)]
            _create(self.vocabulary, schema.VOCABULARY)
            _create(self.items, schema.ITEMS)
            _create(self.events, schema.EVENTS, partition_by=["day"])
        return torn

    def append(self, drawn: Drawn) -> None:
        """Add what each table does not have yet; all of it is on the disk on return.

        Item numbers go first and events last: a reader of the three tables never meets an
        event of an item without a number. Raises Unavailable.
        """
        with said_as_unavailable():
            self._append_vocabulary(drawn)
            _append(self.items, drawn.items, "position", {_DRAIN: drawn.position})
            _append(self.events, drawn.events, "position", {_DRAIN: drawn.position})

    def last_row(self) -> int:
        """Return the highest item number the lake holds, -1 for none."""
        with said_as_unavailable():
            done = DeltaTable(self.vocabulary).transaction_version(_NUMBERED)
        return -1 if done is None else done

    def versions(self) -> dict[str, int]:
        """Return the present version of each table, by its name."""
        with said_as_unavailable():
            return {table.name: DeltaTable(table).version() for table in self._tables()}

    def _tables(self) -> Sequence[Path]:
        return (self.vocabulary, self.items, self.events)

    def _append_vocabulary(self, drawn: Drawn) -> None:
        last: int | None = pc.max(drawn.vocabulary["item_row"]).as_py()
        if last is not None:
            done = {_NUMBERED: last, _DRAIN: drawn.position}
            _append(self.vocabulary, drawn.vocabulary, "item_row", done)


class said_as_unavailable:  # noqa: N801 - reads as a statement
    """Raises Unavailable for what the disk or the Delta engine cannot do inside the block."""

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (DeltaError, OSError)):
            raise Unavailable(
                f"the lake cannot be used: {error}. Check free space and the disk of the data "
                "folder; nothing is lost, the log keeps what is not in the lake",
                reason="LAKE_UNAVAILABLE",
            ) from error


def _create(path: Path, columns: pa.Schema, partition_by: list[str] | None = None) -> None:
    """Make the table where it is not there, durably."""
    if DeltaTable.is_deltatable(str(path)):
        return
    path.mkdir(parents=True, exist_ok=True)
    DeltaTable.create(path, schema=columns, partition_by=partition_by)
    make_durable(path, commits(path))
    synced(path.parent.parent)


def _append(path: Path, rows: pa.Table, numbered_by: str, done: dict[str, int]) -> None:
    """Add the rows behind the last number the table holds, in one durable commit.

    done: by application, the number the table holds afterwards; the first is `numbered_by`'s.
    """
    table = DeltaTable(path)
    held = table.transaction_version(next(iter(done)))
    if held is not None:
        rows = rows.filter(pc.greater(rows[numbered_by], held))
    if not rows.num_rows:
        return
    before = table.version()
    write_deltalake(
        table,
        rows,
        mode="append",
        writer_properties=WriterProperties(compression="ZSTD", compression_level=3),
        commit_properties=CommitProperties(
            app_transactions=[Transaction(name, version) for name, version in done.items()]
        ),
        post_commithook_properties=_NO_HOOKS,
    )
    _keep(path, [one for one in commits(path) if int(one.stem) > before])
    _checkpoint(path, before)


def _keep(path: Path, new_commits: list[Path]) -> None:
    """Make the commits durable, or undo them: a second fsync after a failed one proves nothing."""
    try:
        make_durable(path, new_commits)
    except OSError:
        move_aside(path, new_commits)
        raise


def _checkpoint(path: Path, before: int) -> None:
    """Write a checkpoint now and then, only of commits that are on the disk already."""
    table = DeltaTable(path)
    if table.version() // _CHECKPOINT_EVERY > before // _CHECKPOINT_EVERY:
        table.create_checkpoint()
        make_checkpoint_durable(path)
