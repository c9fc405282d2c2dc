"""Good rows become lines of the log, column-wise as long as possible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import orjson
import pyarrow as pa

from recsys.events import RecordKind
from serving.log.records import Lines, digest_of

_DERIVED_ID_BYTES = 12


def event_lines(columns: Mapping[str, pa.Array], numbers: Sequence[int]) -> Lines:
    """Return events as lines. columns: by field, nulls for defaults; numbers: rows' lines.

    An event without an id gets one made of what it says and where it stands, so that the same
    file, or a longer one that begins alike, can be imported again and adds only what is new.
    """
    payloads = payloads_of(columns)
    if "event_id" in columns:
        event_ids = columns["event_id"].to_pylist()
    else:
        event_ids = [_id(text, line) for text, line in zip(payloads, numbers, strict=True)]
        payloads = [
            b'{"event_id":"%b",%b' % (event_id.encode(), text[1:])
            for event_id, text in zip(event_ids, payloads, strict=True)
        ]
    return Lines(
        [RecordKind.EVENT.value] * len(payloads),
        columns["item_id"].to_pylist(),
        [digest_of(event_id) for event_id in event_ids],
        payloads,
    )


def item_lines(columns: Mapping[str, pa.Array]) -> Lines:
    """Return items as lines. columns: by field, nulls for defaults."""
    payloads = payloads_of(columns)
    n_items = len(payloads)
    return Lines(
        [RecordKind.ITEM.value] * n_items,
        columns["item_id"].to_pylist(),
        [None] * n_items,
        payloads,
    )


def payloads_of(columns: Mapping[str, pa.Array]) -> list[bytes]:
    """Return each row as JSON, in the order of the columns, without its nulls."""
    names = tuple(columns)
    rows = zip(*(_values(column) for column in columns.values()), strict=True)
    dumps = orjson.dumps
    if not any(column.null_count for column in columns.values()):
        return [dumps(dict(zip(names, row, strict=True))) for row in rows]
    return [
        dumps({name: value for name, value in zip(names, row, strict=True) if value is not None})
        for row in rows
    ]


def _values(column: pa.Array) -> list[Any]:
    if column.null_count or pa.types.is_boolean(column.type):
        return list(column.to_pylist())
    return list(column.to_numpy(zero_copy_only=False).tolist())


def _id(payload: bytes, line: int) -> str:
    return blake2b(b"%d:%b" % (line, payload), digest_size=_DERIVED_ID_BYTES).hexdigest()
