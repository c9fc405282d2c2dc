"""The lake's events customer by customer, in bounded memory whatever the lake's size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from deltalake import DeltaTable

from recsys.customers import IdKind
from recsys.events import Position
from serving.lake.engine import bounded_engine
from serving.lake.lake import said_as_lake_unavailable
from serving.lake.replay import COLUMNS, event_files, packed_events
from serving.state.changes import REMEMBERED, joined, states_of

_ROWS_A_BATCH = 131_072
_MOST_MEMORY = "1GB"

_FILES = """
FROM events WHERE position <= $through AND list_contains($types, type)
AND time <= to_timestamp($latest)
"""
_ORDERED = f"""
SELECT {", ".join(COLUMNS)}, received {_FILES}
ORDER BY CASE WHEN user_id <> '' THEN '0' || user_id
              WHEN visitor_id <> '' THEN '1' || visitor_id
              ELSE '2' || session_id END
"""


@dataclass(frozen=True, slots=True)
class PastCustomer:
    """One customer as the lake knows them.

    owner: kind of id and id. state: bytes of `UserState`.
    n_events: how many the state is made of. received: when the log took the newest of them,
    microseconds since 1970.
    """

    owner: tuple[IdKind, str]
    state: bytes
    n_events: int
    received: int

    def joined(self, other: PastCustomer) -> PastCustomer:
        """Return the same customer with the events of both."""
        return PastCustomer(
            self.owner,
            joined(self.state, other.state),
            self.n_events + other.n_events,
            max(self.received, other.received),
        )


class PastCustomers:
    """The customers of a lake's events up to a position, read in one pass.

    latest: second since 1970; later events come from a wrong clock and make no state.

    The engine sorts the events by customer, on the disk where they are many.
    """

    def __init__(
        self, lake_folder: Path, through: Position, *, latest: int, spill_folder: Path
    ) -> None:
        self._table = lake_folder / "events"
        self._through = through
        self._latest = latest
        self._spill_folder = spill_folder

    def count_events(self) -> int:
        """Return how many events there are. Raises Unavailable."""
        with said_as_lake_unavailable():
            return sum(
                batch.column(0)[0].as_py() for batch in self._asked(f"SELECT count(*) {_FILES}")
            )

    def in_steps(self) -> Iterator[list[PastCustomer]]:
        """Yield some whole customers after the other. Raises Unavailable."""
        held: PastCustomer | None = None
        with said_as_lake_unavailable():
            for batch in self._asked(_ORDERED):
                customers = _customers(pa.Table.from_batches([batch]))
                if held is not None and customers[0].owner == held.owner:
                    customers[0] = held.joined(customers[0])
                elif held is not None:
                    customers.insert(0, held)
                held = customers.pop()  # whose events may go on in the next batch
                yield customers
        if held is not None:
            yield [held]

    def _asked(self, sql: str) -> Iterator[pa.RecordBatch]:
        """Yield what the engine answers, but for empty batches."""
        if not DeltaTable.is_deltatable(str(self._table)):
            return
        given: dict[str, Any] = {
            "through": self._through,
            "latest": self._latest,
            "types": sorted(kind.value for kind in REMEMBERED),
        }
        try:
            with bounded_engine(self._spill_folder, memory=_MOST_MEMORY) as engine:
                engine.register("events", event_files(self._table))
                answer = engine.sql(sql, params=given).to_arrow_reader(_ROWS_A_BATCH)
                yield from (batch for batch in answer if batch.num_rows)
        except (duckdb.Error, pa.ArrowException) as error:
            raise OSError(str(error)) from error


def _customers(rows: pa.Table) -> list[PastCustomer]:
    """Return the customers of rows that stand in their order."""
    events = packed_events(rows)
    received = np.zeros(len(events.owners), dtype=np.int64)
    np.maximum.at(received, events.groups, rows["received"].cast(pa.int64()).to_numpy())
    columns = (
        events.owners,
        states_of(events.groups, events.entries, len(events.owners)),
        np.bincount(events.groups, minlength=len(events.owners)).tolist(),
        received.tolist(),
    )
    return [PastCustomer(*values) for values in zip(*columns, strict=True)]
