"""Rows of the log become columns of the lake, without an object for each record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from recsys.errors import Unavailable
from serving.lake import schema
from serving.log.customer_register import CustomerFact
from serving.log.records import NEWLINE
from serving.log.tail import RawRows

_BLOCK_BYTES = 8 << 20

# How the payload's JSON is read; the rest of each table comes from the log's own columns.
_EVENT_JSON = pa.schema(
    [
        field.with_type(pa.int64()) if field.name == "time" else field.with_nullable(True)
        for field in schema.EVENTS
        if field.name not in ("position", "item_row", "day", "received")
    ]
)
_ITEM_TIMES = ("available_from", "expires")
_ITEM_JSON = pa.schema(
    [
        field.with_type(pa.int64()) if field.name in _ITEM_TIMES else field.with_nullable(True)
        for field in schema.ITEMS
        if field.name not in ("position", "item_row", "since")
    ]
)
_DEFAULTS: dict[str, object] = {
    **dict.fromkeys(("robot", "hidden", "removed"), False),
    "quantity": 1.0,
    "available": True,
    "market": "",
}
_INSTANT = pa.timestamp("us", tz="UTC")


def event_columns(rows: RawRows) -> pa.Table:
    """Return the event records of the log as rows of `schema.EVENTS`. Raises Unavailable."""
    with _said_as_no_columns(rows):
        found = _parsed(rows, _EVENT_JSON)
        time = found["time"].cast(_INSTANT)
        received = pa.chunked_array([pa.array(rows.received).cast(_INSTANT)])
        made = {"time": time, "day": time.cast(pa.date32()), "received": received}
        return _table(rows, found, schema.EVENTS, made)


def item_columns(rows: RawRows) -> pa.Table:
    """Return items of the log's register as rows of `schema.ITEMS`. Raises Unavailable."""
    with _said_as_no_columns(rows):
        found = _parsed(rows, _ITEM_JSON)
        made = {name: found[name].cast(_INSTANT) for name in _ITEM_TIMES}
        made["since"] = pa.chunked_array([pa.array(rows.received).cast(_INSTANT)])
        return _table(rows, found, schema.ITEMS, made)


def fact_columns(facts: Sequence[CustomerFact]) -> pa.Table:
    """Return facts about customers as rows of `schema.CUSTOMER_FACTS`."""
    others = [fact.other for fact in facts]
    columns = {
        "position": [fact.position for fact in facts],
        "fact": [fact.fact for fact in facts],
        "kind": [fact.identifier.kind.value for fact in facts],
        "identifier": [fact.identifier.value for fact in facts],
        "other_kind": [other.kind.value if other else "" for other in others],
        "other": [other.value if other else "" for other in others],
        "name": [fact.name for fact in facts],
        "value": [fact.value for fact in facts],
        "granted": [fact.granted for fact in facts],
        "time": [fact.time for fact in facts],
        "received": [fact.received for fact in facts],
    }
    arrays = [
        pa.array(columns[field.name], pa.int64()).cast(field.type)
        if pa.types.is_timestamp(field.type)
        else pa.array(columns[field.name], field.type)
        for field in schema.CUSTOMER_FACTS
    ]
    return pa.table(arrays, schema=schema.CUSTOMER_FACTS)


def vocabulary_columns(rows: Sequence[tuple[int, str]]) -> pa.Table:
    """Return (row, item_id) pairs as rows of `schema.VOCABULARY`."""
    item_rows, item_ids = zip(*rows, strict=True) if rows else ((), ())
    return pa.table(
        [pa.array(item_rows, pa.int32()), pa.array(item_ids, pa.string())],
        schema=schema.VOCABULARY,
    )


def _parsed(rows: RawRows, wanted: pa.Schema) -> pa.Table:
    if not len(rows):
        return wanted.empty_table()
    return pj.read_json(
        BytesIO(NEWLINE.join(rows.payloads)),
        read_options=pj.ReadOptions(block_size=max(_BLOCK_BYTES, _longest_line(rows))),
        parse_options=pj.ParseOptions(explicit_schema=wanted, unexpected_field_behavior="ignore"),
    )


def _longest_line(rows: RawRows) -> int:
    """Return the bytes of the longest line, 0 where none is longer than a block of the reader.

    The reader gives up on a line longer than two of its blocks, wherever they begin.
    """
    large = (payload for payload in rows.payloads if len(payload) > _BLOCK_BYTES)
    return max((len(line) for payload in large for line in payload.split(NEWLINE)), default=0)


@contextmanager
def _said_as_no_columns(rows: RawRows) -> Iterator[None]:
    """Raise Unavailable for what in the log cannot be read as columns inside the block."""
    try:
        yield
    except pa.ArrowException as error:
        first, last = rows.positions[0], rows.positions[-1]
        raise Unavailable(
            f"records {first:,} to {last:,} of the log cannot be read as columns: {error}. They "
            "stay in the log and nothing behind them reaches the lake; report this as a defect",
            reason="LOG_UNREADABLE",
        ) from error


def _table(
    rows: RawRows, found: pa.Table, wanted: pa.Schema, made: dict[str, pa.ChunkedArray]
) -> pa.Table:
    given = {"position": rows.positions, "item_row": rows.item_rows}
    columns = []
    for field in wanted:
        if field.name in given:
            columns.append(pa.array(given[field.name], field.type))
        elif field.name in made:
            columns.append(made[field.name])
        else:
            columns.append(_filled(found[field.name], field))
    return pa.table(columns, schema=wanted)


def _filled(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    """Return the column with the default of its field where the payload left it out."""
    if not column.null_count or (field.nullable and field.name not in _DEFAULTS):
        return column
    return pc.fill_null(column, pa.scalar(_DEFAULTS.get(field.name, ""), field.type))
