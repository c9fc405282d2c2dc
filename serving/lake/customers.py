"""The customers table: what the lake's events add up to, one row for each customer.

DuckDB reads the events' files and writes what it cannot hold to disk, so memory stays bounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from recsys.events import EVENT_TYPES
from recsys.robots import BROWSING, RobotRule
from serving.lake.commits import COMPRESSED, NO_HOOKS, durable_commit
from serving.lake.customers_sql import COUNTED, CUSTOMERS, STEPS, SUSPECTS
from serving.lake.engine import lake_engine
from serving.lake.files import data_files
from serving.lake.schema import CUSTOMERS as COLUMNS

EVENTS_A_PART = 1_000_000
"""Events whose customers are looked at for robots together, or one customer's: about 100 MB."""
_ROWS_A_BATCH = 65_536
_EVENTS_VERSION, _RULE = "events_version", "robot_rule"


class CustomersTable:
    """The table, and how it is made from the events beside it; for one thread at a time."""

    def __init__(self, events: Path, customers: Path) -> None:
        self._events = events
        self._customers = customers
        self._engine: duckdb.DuckDBPyConnection | None = None
        self._stopped = False

    def write(self, rule: RobotRule | None) -> bool:
        """Write the table anew, in one durable commit, as of the events' present version.

        Returns False, with nothing written, where it is of that version and rule already.
        Customers whom the rule takes for robots are left out, and so is what any robot did under
        a customer's id. Raises OSError where that cannot be done, or was stopped.
        """
        events = DeltaTable(self._events)
        basis = {_EVENTS_VERSION: events.version(), _RULE: crc32(repr(rule).encode())}
        written = DeltaTable(self._customers)
        if all(written.transaction_version(name) == number for name, number in basis.items()):
            return False
        try:
            # One thread: cores are for the workers.
            with lake_engine(self._events.parent, threads=1) as self._engine:
                rows = self._rows(self._engine, data_files(self._events, events), rule)
                _overwrite(self._customers, rows, basis)
        except (duckdb.Error, pa.ArrowException) as error:
            raise OSError(f"the customers table cannot be made: {error}") from error
        finally:
            self._engine = None
        return True

    def stop(self) -> None:
        """End a `write` that runs in another thread, and refuse later ones."""
        self._stopped = True
        if engine := self._engine:
            engine.interrupt()

    def _rows(
        self, engine: duckdb.DuckDBPyConnection, files: list[str], rule: RobotRule | None
    ) -> pa.RecordBatchReader:
        """Return the rows of the table, by kind and id."""
        if not files:
            return COLUMNS.empty_table().to_reader()
        every: Any = engine.read_parquet(
            files, hive_partitioning=False
        )  # its stubs know of one file only
        every.create_view("files")
        engine.execute(COUNTED)
        if rule is None:
            engine.execute("UPDATE counted SET robot = false WHERE robot")
        engine.register("robots", _robots(engine, rule or RobotRule.none()))
        for step in STEPS:
            self._check_going()
            engine.execute(step)
        return pa.RecordBatchReader.from_batches(COLUMNS, self._batches(engine))

    def _batches(self, engine: duckdb.DuckDBPyConnection) -> Iterator[pa.RecordBatch]:
        for batch in engine.sql(CUSTOMERS).to_arrow_reader(_ROWS_A_BATCH):
            self._check_going()
            yield batch.cast(COLUMNS)

    def _check_going(self) -> None:
        if self._stopped:
            raise duckdb.InterruptException("it was stopped")


def _robots(engine: duckdb.DuckDBPyConnection, rule: RobotRule) -> pa.Table:
    """Return kind and id of the robots, found in as many parts as memory asks for."""
    asked = [sorted(BROWSING), rule.least]
    suspects = engine.sql(SUSPECTS, params=asked).to_arrow_reader(_ROWS_A_BATCH)
    parts = parts_of(suspects, EVENTS_A_PART)
    found = [name.split(":", 1) for part in parts for name in _robots_of(part, rule)]
    kinds, ids = zip(*found, strict=True) if found else ((), ())
    return pa.table([pa.array(kinds, pa.string()), pa.array(ids, pa.string())], ["kind", "id"])


def parts_of(events: Iterable[pa.RecordBatch], fewest: int) -> Iterator[pa.Table]:
    """Yield events that come in the order of `who`, no customer's in two parts.

    fewest: rows of a part, but for the last.
    """
    waiting: list[pa.RecordBatch] = []
    for batch in events:
        if sum(map(len, waiting)) >= fewest:
            end = pc.sum(pc.equal(batch["who"], waiting[-1]["who"][-1])).as_py()
            if end < len(batch):
                yield pa.Table.from_batches([*waiting, batch.slice(0, end)])
                waiting, batch = [], batch.slice(end)
        waiting.append(batch)
    if waiting:
        yield pa.Table.from_batches(waiting)


def _robots_of(events: pa.Table, rule: RobotRule) -> Iterator[str]:
    """Yield the robots among the customers of some events."""
    kinds = pc.index_in(events["type"], pa.array(EVENT_TYPES, pa.string()))
    events, kinds = events.filter(kinds.is_valid()), kinds.drop_null()
    customers = events["who"].combine_chunks().dictionary_encode()
    robots = rule.robots(
        customers.indices.to_numpy().astype(np.int32),
        (events["moment"].to_numpy() // 1_000_000).astype("datetime64[s]"),
        kinds=kinds.to_numpy().astype(np.uint8),
        declared=events["robot"].to_numpy(),
        n_users=len(customers.dictionary),
    )
    yield from customers.dictionary.filter(pa.array(robots)).to_pylist()


def _overwrite(path: Path, rows: pa.RecordBatchReader, basis: dict[str, int]) -> None:
    marks = [Transaction(name, number) for name, number in basis.items()]
    with durable_commit(path) as table:
        write_deltalake(
            table,
            rows,
            mode="overwrite",
            writer_properties=COMPRESSED,
            commit_properties=CommitProperties(app_transactions=marks),
            post_commithook_properties=NO_HOOKS,
        )
