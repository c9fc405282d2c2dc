"""Good rows become lines of the log, column-wise as long as possible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import orjson
import pyarrow as pa

from recsys.events import RecordKind
from serving.log.records import NEWLINE, Lines, digest_of

_DERIVED_ID_BYTES = 12


def event_lines(
    said: Mapping[str, pa.Array], numbers: Sequence[int], *, counted: Mapping[str, pa.Array]
) -> Lines:
    """Return events as lines. said: by field, nulls for defaults; numbers: rows' lines.

    counted: fields that count otherwise than the file says, as a time that lies ahead does.

    An event without an id gets one made of what the file says and where it says it, so that the
    same file, or a longer one that begins alike, can be imported again and adds only what is new.
    """
    if "event_id" in said:
        event_ids = said["event_id"].to_pylist()
        payloads = payloads_of({**said, **counted})
    else:
        payloads = payloads_of(said)
        event_ids = [_id(text, line) for text, line in zip(payloads, numbers, strict=True)]
        if counted:
            payloads = payloads_of({**said, **counted})
        payloads = [
            b'{"event_id":"%b",%b' % (event_id.encode(), text[1:])
            for event_id, text in zip(event_ids, payloads, strict=True)
        ]
    return Lines(
        [RecordKind.EVENT.value] * len(payloads),
        said["item_id"].to_pylist(),
        b"".join([digest_of(event_id) for event_id in event_ids]),
        NEWLINE.join(payloads),
    )


def item_lines(columns: Mapping[str, pa.Array]) -> Lines:
    """Return items as lines. columns: by field, nulls for defaults."""
    payloads = payloads_of(columns)
    n_items = len(payloads)
    return Lines(
        [RecordKind.ITEM.value] * n_items,
        columns["item_id"].to_pylist(),
        b"",
        NEWLINE.join(payloads),
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
