"""The lake: Delta tables of events, items and item numbers, and what they add up to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake import Schema as DeltaSchema
from deltalake.exceptions import DeltaError

from recsys.errors import Unavailable
from recsys.events import Position
from recsys.robots import RobotRule
from serving.disk import make_private, synced
from serving.lake import schema
from serving.lake.commits import COMPRESSED, NO_HOOKS, durable_commit
from serving.lake.compaction import compact, steps_of
from serving.lake.customers import CustomersTable
from serving.lake.durable import commits, make_durable, move_aside, repair
from serving.lake.files import check_openable
from serving.lake.keeping import Keeping
from serving.lake.parts import added_by_day
from serving.lake.retention import drop_days, sweep_commits, sweep_files

_DRAIN = "drain"
_NUMBERED = "vocabulary"


@dataclass(frozen=True, slots=True)
class Drawn:
    """What one drain takes out of the log.

    events, items, vocabulary, facts: rows of the schemas of those names.
    position: of the last record among them, or behind the last.
    """

    events: pa.Table
    items: pa.Table
    vocabulary: pa.Table
    facts: pa.Table
    position: Position


class Lake:
    """Delta tables in one folder, written by one process at a time (who holds the folder's lock).

    Each table of facts remembers the last position it holds, in the same commit as the rows, so
    that writing the same records again adds nothing. Every method raises Unavailable.
    """

    def __init__(self, folder: Path) -> None:
        self.events = folder / "events"
        self.items = folder / "items"
        self.vocabulary = folder / "vocabulary"
        self.customers = folder / "customers"
        self.customer_facts = folder / "customer_facts"
        self._counting = CustomersTable(self.events, self.customers)

    def open(self) -> list[Path]:
        """Make missing tables, and return files of a torn last commit that were moved aside.

        Raises InvalidInput besides, for a path that the engine cannot open.
        """
        check_openable(self.events.parent)
        with said_as_lake_unavailable():
            make_private(self.events.parent)
            synced(self.events.parent.parent)  # the name of the lake itself, however it came about
            torn = [path for table in self._tables() for path in repair(table)]
            _create(self.vocabulary, schema.VOCABULARY)
            _create(self.items, schema.ITEMS)
            _create(self.events, schema.EVENTS, partition_by=["day"])
            _create(self.customers, schema.CUSTOMERS)
            _create(self.customer_facts, schema.CUSTOMER_FACTS)
        return torn

    def append(self, drawn: Drawn) -> None:
        """Add what each table does not have yet; all of it is on the disk on return.

        Item numbers go first and events last: a reader of the three tables never meets an
        event of an item without a number.
        """
        with said_as_lake_unavailable():
            self._append_vocabulary(drawn)
            _append(self.items, drawn.items, "position", {_DRAIN: drawn.position})
            _append(self.customer_facts, drawn.facts, "position", {_DRAIN: drawn.position})
            _append(self.events, drawn.events, "position", {_DRAIN: drawn.position})

    def tidy(self, keeping: Keeping, now: datetime) -> Iterator[None]:
        """Drop days out of keeping, compact small files, delete what is superfluous.

        Yields after each step of bounded work; records may be appended between two.
        """
        with said_as_lake_unavailable():
            if keeping.events_days:
                drop_days(self.events, (now - timedelta(days=keeping.events_days)).date())
        yield
        for table in self._facts():
            with said_as_lake_unavailable():
                steps = steps_of(table)
            for step in steps:
                with said_as_lake_unavailable():
                    compact(table, step)
                yield
        for table in self._tables():
            with said_as_lake_unavailable():
                sweep_files(table, keeping.versions)
                sweep_commits(table, now - keeping.versions)
            yield

    def write_customers(self, rule: RobotRule | None) -> bool:
        """Bring the customers table up to the events; return False where it is already.

        It may run in another thread, beside every other method but `open`.
        """
        with said_as_lake_unavailable():
            return self._counting.write(rule)

    def stop(self) -> None:
        """Let `write_customers` end soon, whatever thread it runs in; it raises Unavailable."""
        self._counting.stop()

    def last_row(self) -> int:
        """Return the highest item number the lake holds, -1 for none."""
        with said_as_lake_unavailable():
            done = DeltaTable(self.vocabulary).transaction_version(_NUMBERED)
        return -1 if done is None else done

    def versions(self) -> dict[str, int]:
        """Return the present version of each table, by its name."""
        with said_as_lake_unavailable():
            return {table.name: DeltaTable(table).version() for table in self._tables()}

    def _facts(self) -> Sequence[Path]:
        return (self.vocabulary, self.items, self.customer_facts, self.events)

    def _tables(self) -> Sequence[Path]:
        return (*self._facts(), self.customers)

    def _append_vocabulary(self, drawn: Drawn) -> None:
        last: int | None = pc.max(drawn.vocabulary["item_row"]).as_py()
        if last is not None:
            done = {_NUMBERED: last, _DRAIN: drawn.position}
            _append(self.vocabulary, drawn.vocabulary, "item_row", done)


class said_as_lake_unavailable:  # noqa: N801 - reads as a statement
    """Raises Unavailable for what the disk or an engine cannot do inside the block."""

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (DeltaError, duckdb.Error, pa.ArrowException, OSError)):
            raise Unavailable(
                f"the lake cannot be used: {error}. Check free space and the disk of the data "
                "folder; nothing is lost, the log keeps what is not in the lake",
                reason="LAKE_UNAVAILABLE",
            ) from error


def _create(path: Path, columns: pa.Schema, partition_by: list[str] | None = None) -> None:
    """Make the table where it is not there, durably."""
    if DeltaTable.is_deltatable(str(path)):
        _add_columns(path, columns)
        return
    path.mkdir(exist_ok=True)
    try:
        DeltaTable.create(
            path, schema=columns, partition_by=partition_by, configuration=schema.NO_STATISTICS
        )
        make_durable(path, commits(path))
    except BaseException:
        move_aside(path, commits(path))
        raise


def _add_columns(path: Path, columns: pa.Schema) -> None:
    """Let a table of an earlier version have the columns that came since; its rows hold nulls."""
    known = {field.name for field in DeltaTable(path).schema().fields}
    new = [field for field in columns if field.name not in known]
    if new:
        with durable_commit(path) as table:
            table.alter.add_columns(DeltaSchema.from_arrow(pa.schema(new)).fields)


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
    marks = CommitProperties(
        app_transactions=[Transaction(name, version) for name, version in done.items()]
    )
    with durable_commit(path) as opened:
        if "day" in rows.schema.names:
            _add_by_day(path, opened, rows, marks)
        else:
            write_deltalake(
                opened,
                rows,
                mode="append",
                writer_properties=COMPRESSED,
                commit_properties=marks,
                post_commithook_properties=NO_HOOKS,
            )


def _add_by_day(path: Path, table: DeltaTable, rows: pa.Table, marks: CommitProperties) -> None:
    table.create_write_transaction(
        added_by_day(path, rows),
        mode="append",
        schema=table.schema(),
        partition_by=["day"],
        commit_properties=marks,
        post_commithook_properties=NO_HOOKS,
    )
