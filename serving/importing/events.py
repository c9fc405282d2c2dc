"""Rows of a file as events."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.arrays import Mask
from recsys.events import (
    EARLIEST,
    EVENT_TYPES,
    LATEST,
    MOST_CATEGORY_BYTES,
    MOST_QUERY_BYTES,
    WITHOUT_ITEM,
    Channel,
    EventType,
)
from recsys.ids import MOST_MARKET_BYTES
from serving.api.user_agents import is_robot
from serving.importing.checks import (
    Check,
    Fault,
    amount_check,
    faults_of,
    id_check,
    quantity_check,
    rating_check,
    source,
    text_check,
    word_check,
)
from serving.importing.encode import event_lines
from serving.importing.mapping import EVENT_COLUMNS, FieldMapping
from serving.importing.normal import as_mask, flags, numbers, texts, times
from serving.importing.tables import Batch
from serving.intake import AHEAD_WANTED, LIKELY_AHEAD, MOST_AHEAD, MOST_TOKEN_BYTES
from serving.log.records import Lines

_WHO = ("user_id", "visitor_id", "session_id")
_IDS = (*_WHO, "order_id", "outlet", "currency", "campaign_id")
_NUMBERS = ("quantity", "price", "rating")
_TYPES = tuple(map(str, EVENT_TYPES))
_CHANNELS = tuple(map(str, filter(None, Channel)))
_TIME_WANTED = (
    f"a time from {EARLIEST:%Y} to {LATEST:%Y}: a timestamp, ISO 8601 text, "
    "or seconds or milliseconds since 1970"
)

Columns = dict[str, pa.Array]
"""Columns of rows, by the field they hold."""


def events_of(batch: Batch, mapping: FieldMapping, now: datetime) -> tuple[Lines, list[Fault]]:
    """Return the good rows as lines of the log, and the first fault of each other row.

    now: the clock that says which times lie ahead.
    """
    came = {
        name: column
        for name in EVENT_COLUMNS
        if (column := source(mapping, name, batch.rows)) is not None
    }
    columns = {name: _normal(name, column, mapping) for name, column in came.items()}
    columns.setdefault("item_id", pa.nulls(batch.rows.num_rows, pa.string()))
    good, faults = faults_of(_checks(columns, came, now), batch.rows.num_rows)
    lines = np.asarray(batch.lines)
    if faults:
        kept = pa.array(good)
        columns = {name: column.filter(kept) for name, column in columns.items()}
        lines = lines[good]
    counted = _counted(columns, now)
    columns.pop("user_agent", None)
    columns["item_id"] = columns["item_id"].fill_null("")
    columns["time"] = columns["time"].cast(pa.int64())
    return event_lines(columns, lines.tolist(), counted=counted), faults


def _normal(name: str, column: pa.Array, mapping: FieldMapping) -> pa.Array:
    """Return a field's column in the type of the field; null where it holds nothing."""
    if name == "time":
        shift = pa.scalar(timedelta(days=mapping.shift_days), pa.duration("us"))
        return pc.add(times(column, mapping.zone), shift)
    if name in _NUMBERS:
        return numbers(column)
    if name == "robot":
        return _said(flags(column)[0])
    if name in ("type", "channel"):
        return _ours(texts(column), mapping.values.get(name, {}))
    return texts(column)


def _ours(text: pa.Array, values: Mapping[str, str]) -> pa.Array:
    """Return words by our names, whatever the file calls them."""
    coded = text.dictionary_encode()
    ours = [values.get(word, word.lower()) for word in coded.dictionary.to_pylist()]
    return pa.DictionaryArray.from_arrays(coded.indices, pa.array(ours, pa.string())).cast(
        pa.string()
    )


def _counted(columns: Columns, now: datetime) -> Columns:
    """Return the fields that count otherwise than the file says them."""
    counted: Columns = {}
    time = columns["time"]
    ahead = pc.greater(time, pa.scalar(now + LIKELY_AHEAD, time.type))
    if pc.any(ahead).as_py():
        counted["time"] = pc.if_else(ahead, pa.scalar(now, time.type), time).cast(pa.int64())
    if "user_agent" in columns:
        robots = _robots(columns["user_agent"])
        if robots.any():
            said = as_mask(columns["robot"]) if "robot" in columns else np.False_
            counted["robot"] = _said(pa.array(robots | said))
    return counted


def _said(robot: pa.Array) -> pa.Array:
    """Return booleans with null, the default, in place of false."""
    return pc.if_else(robot, True, pa.scalar(None, pa.bool_()))


def _robots(user_agents: pa.Array) -> Mask:
    """Return (n,) whether each row's software calls itself a robot."""
    coded = user_agents.dictionary_encode()
    told = np.array([is_robot(name) for name in coded.dictionary.to_pylist()] + [False])
    robots: Mask = told[np.asarray(coded.indices.fill_null(len(told) - 1))]
    return robots


def _checks(columns: Columns, came: Columns, now: datetime) -> list[Check]:
    """Return the demands of intake, then those of `Event.check` in its order."""
    return [
        *_checks_of_intake(columns, came, now),
        *_checks_of_ids(columns),
        *_checks_of_values(columns, came),
        *_checks_of_type(columns, came),
    ]


def _checks_of_intake(columns: Columns, came: Columns, now: datetime) -> list[Check]:
    """Return what gRPC asks of an event too, before the event is one."""
    checks = [word_check("type", columns["type"], came["type"], _TYPES, required=True)]
    if "channel" in columns:
        checks.append(word_check("channel", columns["channel"], came["channel"], _CHANNELS))
    time = columns["time"]
    ahead = as_mask(pc.greater(time, pa.scalar(now + MOST_AHEAD, time.type)))
    checks.append(Check("time", ahead, came["time"], AHEAD_WANTED))
    if "attribution_token" in columns:
        token = columns["attribution_token"]
        checks.append(text_check("attribution_token", token, MOST_TOKEN_BYTES))
    if "robot" in columns:
        checks.append(Check("robot", flags(came["robot"])[1], came["robot"], "true or false"))
    return checks


def _checks_of_ids(columns: Columns) -> list[Check]:
    checks = []
    if "event_id" in columns:
        checks.append(id_check("event_id", columns["event_id"], required=True))
    needs_item = ~_is_of(columns, *WITHOUT_ITEM)
    checks.append(id_check("item_id", columns["item_id"], required=needs_item))
    checks += [id_check(name, columns[name]) for name in _IDS if name in columns]
    return [*checks, _somebody(columns)]


def _checks_of_values(columns: Columns, came: Columns) -> list[Check]:
    checks = [_time_check(columns["time"], came["time"])]
    if "quantity" in columns:
        checks.append(quantity_check(columns["quantity"], came["quantity"]))
    if "price" in columns:
        checks.append(amount_check("price", columns["price"], came["price"]))
    if "market" in columns:
        checks.append(text_check("market", columns["market"], MOST_MARKET_BYTES))
    return checks


def _checks_of_type(columns: Columns, came: Columns) -> list[Check]:
    n_rows = len(columns["type"])
    rated, searched = _is_of(columns, EventType.RATING), _is_of(columns, EventType.SEARCH)
    viewed = _is_of(columns, EventType.CATEGORY_VIEW)
    rating = columns.get("rating", pa.nulls(n_rows, pa.float64()))
    nothing = pa.nulls(n_rows, pa.string())
    query, category = columns.get("query", nothing), columns.get("category", nothing)
    return [
        rating_check(rating, came.get("rating", nothing), required=rated),
        text_check("query", query, MOST_QUERY_BYTES, required=searched),
        text_check("category", category, MOST_CATEGORY_BYTES, required=viewed),
    ]


def _is_of(columns: Columns, *kinds: EventType) -> Mask:
    """Return (n,) whether each row is of one of these types."""
    return as_mask(pc.is_in(columns["type"], pa.array([*map(str, kinds)], pa.string())))


def _somebody(columns: Columns) -> Check:
    given = [columns[name] for name in _WHO if name in columns]
    nobody = as_mask(pc.is_null(pc.coalesce(*given)))
    return Check("user_id", nobody, given[0], "a user_id, visitor_id or session_id")


def _time_check(time: pa.Array, came: pa.Array) -> Check:
    inside = pc.and_(
        pc.greater_equal(time, pa.scalar(EARLIEST, time.type)),
        pc.less_equal(time, pa.scalar(LATEST, time.type)),
    )
    return Check("time", ~as_mask(inside), came, _TIME_WANTED)
