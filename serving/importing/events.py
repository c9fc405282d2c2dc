"""Rows of a file as events."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.events import EARLIEST, EVENT_TYPES, LATEST
from serving.importing.checks import (
    Check,
    Fault,
    faults_of,
    id_check,
    price_check,
    quantity_check,
    source,
)
from serving.importing.encode import event_lines
from serving.importing.mapping import FieldMapping
from serving.importing.normal import as_mask, numbers, texts, times
from serving.importing.readers import Batch
from serving.log.records import EVENT_FIELDS, Lines

_WHO = ("user_id", "visitor_id", "session_id")
_IDS = (*_WHO, "order_id", "channel", "currency")
_REQUIRED_IDS = ("event_id", "item_id")
_TIME_WANTED = (
    f"a time from {EARLIEST:%Y} to {LATEST:%Y}: a timestamp, ISO 8601 text, "
    "or seconds or milliseconds since 1970"
)


def events_of(batch: Batch, mapping: FieldMapping) -> tuple[Lines, list[Fault]]:
    """Return the good rows as lines of the log, and the first fault of each other row."""
    came = {
        name: column
        for name in EVENT_FIELDS
        if (column := source(mapping, name, batch.rows)) is not None
    }
    columns = {name: _normal(name, column, mapping) for name, column in came.items()}
    good, faults = faults_of(_checks(columns, came), batch.rows.num_rows)
    lines = np.asarray(batch.lines)
    if faults:
        kept = pa.array(good)
        columns = {name: column.filter(kept) for name, column in columns.items()}
        lines = lines[good]
    columns["time"] = columns["time"].cast(pa.int64())
    return event_lines(columns, lines.tolist()), faults


def _normal(name: str, column: pa.Array, mapping: FieldMapping) -> pa.Array:
    """Return a field's column in the type of the field; null where it holds nothing."""
    if name == "time":
        shift = pa.scalar(timedelta(days=mapping.shift_days), pa.duration("us"))
        return pc.add(times(column, mapping.zone), shift)
    if name in ("quantity", "price"):
        return numbers(column)
    if name == "type":
        return _types(texts(column), mapping)
    return texts(column)


def _types(text: pa.Array, mapping: FieldMapping) -> pa.Array:
    """Return event types by our names, whatever the file calls them."""
    coded = text.dictionary_encode()
    ours = [mapping.values.get(name, name.lower()) for name in coded.dictionary.to_pylist()]
    return pa.DictionaryArray.from_arrays(coded.indices, pa.array(ours, pa.string())).cast(
        pa.string()
    )


def _checks(columns: dict[str, pa.Array], came: dict[str, pa.Array]) -> list[Check]:
    """Return the demands of `Event.check`, in its order."""
    checks = [
        id_check(name, columns[name], required=True) for name in _REQUIRED_IDS if name in columns
    ]
    checks += [id_check(name, columns[name]) for name in _IDS if name in columns]
    checks.append(_somebody(columns))
    unknown = ~as_mask(pc.is_in(columns["type"], pa.array(list(map(str, EVENT_TYPES)))))
    checks.append(Check("type", unknown, came["type"], f"one of {', '.join(EVENT_TYPES)}"))
    checks.append(_time_check(columns["time"], came["time"]))
    if "quantity" in columns:
        checks.append(quantity_check(columns["quantity"], came["quantity"]))
    if "price" in columns:
        checks.append(price_check(columns["price"], came["price"]))
    return checks


def _somebody(columns: dict[str, pa.Array]) -> Check:
    given = [columns[name] for name in _WHO if name in columns]
    nobody = as_mask(pc.is_null(pc.coalesce(*given)))
    return Check("user_id", nobody, given[0], "a user_id, visitor_id or session_id")


def _time_check(time: pa.Array, came: pa.Array) -> Check:
    inside = pc.and_(
        pc.greater_equal(time, pa.scalar(EARLIEST, time.type)),
        pc.less_equal(time, pa.scalar(LATEST, time.type)),
    )
    return Check("time", ~as_mask(inside), came, _TIME_WANTED)
