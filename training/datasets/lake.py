"""The lake as a data set: a fixed version of its Delta tables, read into columns.

DuckDB reads the files that Delta names, so that what is read is one version of each table,
whatever is written meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from recsys.arrays import Kinds, Mask, Rows, Times, frozen
from recsys.catalog import Catalog
from recsys.customers import ALLOWED_UNLESS_REFUSED, Purpose
from recsys.erasures import ErasureMark
from recsys.errors import Unavailable
from recsys.events import EVENT_TYPES
from recsys.ids import Vocabulary
from recsys.interactions import Interactions, rolled_up
from recsys.models.described import Descriptions
from recsys.robots import RobotRule
from recsys.state import ties_of
from training.datasets.enough import no_events
from training.datasets.items import first_described, items_of
from training.datasets.people import FACTS, People

# Item numbers last: whatever an event or item names has its number by then.
TABLES = ("events", "items", "vocabulary")


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Who was taken for robots, and how many events were not learned from because of robots."""

    robots: int = 0
    events: int = 0


@dataclass(frozen=True, slots=True)
class Dataset:
    """What one version of the lake holds of events on items, robots left out.

    descriptions: of every item row; empty for rows that are not described.
    user_ids: who is behind each user row: a user id, else `visitor:` and a visitor id, else
        `session:` and a session id.
    lake_versions: Delta version of each table.
    log_position: the last record of the log among what was read.
    erased: how far erasures had come before anything was read.
    """

    interactions: Interactions
    catalog: Catalog
    descriptions: Descriptions
    user_ids: tuple[str, ...]
    lake_versions: Mapping[str, int]
    log_position: int
    left_out: LeftOut
    erased: ErasureMark


def read_dataset(
    lake: Path,
    rule: RobotRule | None = None,
    unless_stated: Iterable[Purpose] = ALLOWED_UNLESS_REFUSED,
) -> Dataset:
    """Return the data set of the lake's present version, without whom the rule takes for robots.

    Identifiers that are linked are one customer; customers who refuse to be learned from are left
    out. unless_stated: purposes that whoever said nothing about them allows.

    An event id that stands there twice counts once, the earliest. An event was received no later
    than those behind it in the log, whatever the clock of that moment said; one of a time more
    than a day after that counts as of then. Raises NotReady where there is no event at all,
    Unavailable where the tables cannot be read.
    """
    erased = ErasureMark.read(lake)
    try:
        if not all(DeltaTable.is_deltatable(str(lake / name)) for name in TABLES):
            raise no_events(lake)
        # Events first: what they speak of is written before them, so it is there.
        tables = {name: DeltaTable(lake / name) for name in TABLES}
        people = _people(lake, unless_stated)
        return replace(_dataset(tables, lake, rule, people), erased=erased)
    except (DeltaError, OSError, duckdb.Error, pa.ArrowException) as error:
        raise Unavailable(
            f"the lake at {lake} cannot be read: {error}. Nothing was changed; check the disk of "
            "the data folder, then train again",
            reason="LAKE_UNAVAILABLE",
        ) from error


def _dataset(
    tables: Mapping[str, DeltaTable], lake: Path, rule: RobotRule | None, people: People
) -> Dataset:
    events = _query(lake / "events", tables["events"], EVENTS)
    if not len(events):
        raise no_events(lake)
    numbers = _query(lake / "vocabulary", tables["vocabulary"], NUMBERS)
    vocabulary = _vocabulary(numbers, lake)
    items = _query(lake / "items", tables["items"], NEWEST_ITEMS)
    last = max(_last(events["position"]), _last(items["position"]))
    events = _of_people(_of_known_types(events), people)
    events, left_out = _without_robots(events, rule)
    on_items = events.filter(pc.greater_equal(events["item_row"], 0))
    every_variant, user_ids = _interactions(on_items, len(vocabulary))
    known, since = dict(items_of(items)), first_described(items)
    described = Descriptions.of_rows(known, len(vocabulary))
    versions = {name: table.version() for name, table in tables.items()}
    catalog = Catalog.of(vocabulary, known, since)
    interactions = rolled_up(every_variant, catalog.primaries)
    nobody = ErasureMark()
    return Dataset(interactions, catalog, described, user_ids, versions, last, left_out, nobody)


EVENTS = """
WITH taken AS (
  SELECT *, min(epoch_us(received)) OVER (ORDER BY position DESC) AS latest FROM files
),
repeated AS (SELECT event_id FROM files GROUP BY event_id HAVING count(*) > 1),
once AS (
  SELECT * FROM taken WHERE event_id NOT IN (SELECT event_id FROM repeated)
  UNION ALL
  SELECT * FROM taken WHERE event_id IN (SELECT event_id FROM repeated)
  QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY position) = 1
)
SELECT position, event_id, type, item_row, order_id, robot,
  CASE WHEN epoch_us(time) - latest > 86_400_000_000 THEN latest
       ELSE epoch_us(time) END AS microsecond,
  coalesce(rating, quantity) AS quantity,
  CASE WHEN user_id <> '' THEN user_id
       WHEN visitor_id <> '' THEN 'visitor:' || visitor_id
       ELSE 'session:' || session_id END AS who
FROM once ORDER BY position
"""

NUMBERS = "SELECT DISTINCT item_row, item_id FROM files ORDER BY item_row"

NEWEST_ITEMS = """
SELECT * FROM files
QUALIFY row_number() OVER (PARTITION BY item_row ORDER BY position DESC) = 1
"""


def _query(folder: Path, table: DeltaTable, sql: str) -> pa.Table:
    """Return the rows of a query over the files of a table, which it calls `files`."""
    paths = _data_files(folder, table)
    if not paths:
        return pa.schema(table.schema().to_arrow()).empty_table()
    with duckdb.connect() as engine:
        # Its stubs know of one file only.
        files: Any = engine.read_parquet(paths, hive_partitioning=False, union_by_name=True)
        rows: pa.Table = files.query("files", sql).to_arrow_table()
        return rows


def _data_files(folder: Path, table: DeltaTable) -> list[str]:
    """Return the data files of a table in a folder; Delta's own list is of URLs, not of paths."""
    names = pa.table(table.get_add_actions())["path"].to_pylist()
    return [str(folder.absolute() / unquote(name)) for name in names]


def _vocabulary(numbers: pa.Table, lake: Path) -> Vocabulary:
    rows = numbers["item_row"].to_numpy()
    if not np.array_equal(rows, np.arange(len(rows))):
        raise Unavailable(
            f"the item numbers in {lake / 'vocabulary'} are not 0, 1, 2, ... without gaps; "
            "restore the folder from a copy, or import into an empty data folder",
            reason="LAKE_UNAVAILABLE",
        )
    return Vocabulary.of(numbers["item_id"].to_pylist())


def _of_known_types(events: pa.Table) -> pa.Table:
    """Return the events with the code of their type as `kind`, those of a type known here."""
    kinds = pc.index_in(events["type"], pa.array(EVENT_TYPES, pa.string()))
    return events.append_column("kind", kinds).filter(kinds.is_valid())


def _people(lake: Path, unless_stated: Iterable[Purpose]) -> People:
    """Return what the shop said of customers; nothing where the lake is older than that."""
    folder = lake / "customer_facts"
    if not DeltaTable.is_deltatable(str(folder)):
        return People()
    return People.of(_query(folder, DeltaTable(folder), FACTS), unless_stated)


def _of_people(events: pa.Table, people: People) -> pa.Table:
    """Return the events under their customers' one name, of those who may be learned from."""
    place = events.column_names.index("who")
    who = events["who"].combine_chunks().dictionary_encode()
    names = [people.names.get(name, name) for name in who.dictionary.to_pylist()]
    allowed = pa.array([people.may_learn_from(name) for name in names], pa.bool_())
    renamed = pa.array(names, pa.string()).take(who.indices)
    return events.set_column(place, "who", renamed).filter(allowed.take(who.indices))


def _without_robots(events: pa.Table, rule: RobotRule | None) -> tuple[pa.Table, LeftOut]:
    """Return the events of people, and how many others there were."""
    if rule is None:
        return events, LeftOut()
    users, user_ids = _coded(events["who"])
    declared = events["robot"].to_numpy()
    robots = rule.robots(
        users, _times(events), kinds=_kinds(events), declared=declared, n_users=len(user_ids)
    )
    gone: Mask = robots[users] | declared
    return events.filter(pa.array(~gone)), LeftOut(int(robots.sum()), int(gone.sum()))


def _interactions(events: pa.Table, n_items: int) -> tuple[Interactions, tuple[str, ...]]:
    """Return the events as columns, and who is behind each user row (in order of the ids)."""
    microseconds = events["microsecond"].to_numpy()
    ties = ties_of(microseconds, events["event_id"].to_pylist())
    order = np.lexsort((ties, microseconds // 1_000_000))  # stable: by position at last
    events, ties = events.take(pa.array(order)), ties[order]
    users, user_ids = _coded(events["who"])
    times = _times(events)
    interactions = Interactions(
        users=frozen(users),
        items=frozen(events["item_row"].to_numpy().astype(np.int32)),
        kinds=frozen(_kinds(events)),
        quantities=frozen(events["quantity"].to_numpy().astype(np.float32)),
        times=frozen(times),
        ties=frozen(ties),
        baskets=frozen(_baskets(users, events["order_id"], times)),
        n_users=len(user_ids),
        n_items=n_items,
    )
    return interactions, user_ids


def _times(events: pa.Table) -> Times:
    times: Times = (events["microsecond"].to_numpy() // 1_000_000).astype("datetime64[s]")
    return times


def _kinds(events: pa.Table) -> Kinds:
    kinds: Kinds = events["kind"].to_numpy().astype(np.uint8)
    return kinds


def _coded(texts: pa.ChunkedArray) -> tuple[Rows, tuple[str, ...]]:
    """Return each text's place among the sorted distinct texts, and those."""
    found = texts.combine_chunks().dictionary_encode()
    distinct = found.dictionary.to_pylist()
    order = sorted(range(len(distinct)), key=distinct.__getitem__)
    places = np.empty(len(distinct), dtype=np.int32)
    places[order] = np.arange(len(distinct), dtype=np.int32)
    codes: Rows = places[found.indices.to_numpy()]
    return codes, tuple(distinct[place] for place in order)


def _baskets(users: Rows, order_ids: pa.ChunkedArray, times: Times) -> Rows:
    """Return a number shared by the events of one user's order, or of one user's day without."""
    orders, distinct = _coded(order_ids)
    ordered = np.array([bool(order) for order in distinct], dtype=np.bool_)[orders]
    days = times.astype("datetime64[D]").astype(np.int64)
    days -= days.min(initial=0)
    within = np.where(ordered, orders.astype(np.int64) << 1, days << 1 | 1)
    _, baskets = np.unique(users.astype(np.int64) << 32 | within, return_inverse=True)
    numbers: Rows = baskets.astype(np.int32)
    return numbers


def _last(positions: pa.ChunkedArray) -> int:
    return int(pc.max(positions).as_py() or 0)
