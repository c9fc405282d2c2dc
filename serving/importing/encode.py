"""Good rows become what the log keeps, column-wise as long as possible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Self

import orjson
import pyarrow as pa

from recsys.ids import ItemId
from recsys.items import Item
from serving.log.items import encode_item
from serving.log.records import NEWLINE, Lines, digest_of

NESTED = frozenset({"attributes", "offers"})
"""Fields whose columns hold JSON texts."""

_DERIVED_ID_BYTES = 12


@dataclass(frozen=True, slots=True)
class ItemLines:
    """Described items, ready for the register, in the order of the file.

    item_ids: of each; one may stand several times, and the last one holds.
    payloads: of each what `encode_item` writes.
    market: empty where the payloads are all that is known of the items. Otherwise each names an
        offer of this market alone, and the offers that a known item has in others stay.
    """

    item_ids: Sequence[ItemId]
    payloads: Sequence[bytes]
    market: str = ""

    def __post_init__(self) -> None:
        if len(self.item_ids) != len(self.payloads):
            raise ValueError(f"{len(self.payloads)} payloads for {len(self.item_ids)} items")

    def __len__(self) -> int:
        return len(self.item_ids)

    @classmethod
    def of(cls, items: Sequence[Item], market: str = "") -> Self:
        """Return the lines of these items, in order."""
        payloads = [b"%b" % encode_item(item) for item in items]
        return cls([item.item_id for item in items], payloads, market)


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
        said["item_id"].to_pylist(),
        b"".join([digest_of(event_id) for event_id in event_ids]),
        NEWLINE.join(payloads),
    )


def item_lines(columns: Mapping[str, pa.Array]) -> ItemLines:
    """Return items as lines. columns: by field, in the order of `Item`, nulls for defaults."""
    return ItemLines(columns["item_id"].to_pylist(), payloads_of(columns))


def payloads_of(columns: Mapping[str, pa.Array]) -> list[bytes]:
    """Return each row as JSON, in the order of the columns, without its nulls.

    What orjson returns occupies at least 4 KiB, so each is copied into what it needs.
    """
    names = tuple(columns)
    rows = zip(*(_values(name, column) for name, column in columns.items()), strict=True)
    dumps = orjson.dumps
    if not any(column.null_count for column in columns.values()):
        return [b"%b" % dumps(dict(zip(names, row, strict=True))) for row in rows]
    return [
        b"%b"
        % dumps({name: value for name, value in zip(names, row, strict=True) if value is not None})
        for row in rows
    ]


def _values(name: str, column: pa.Array) -> list[Any]:
    if name in NESTED:
        texts = column.to_pylist()
        return [None if text is None else orjson.Fragment(text) for text in texts]
    if column.null_count or pa.types.is_boolean(column.type):
        return list(column.to_pylist())
    return list(column.to_numpy(zero_copy_only=False).tolist())


def _id(payload: bytes, line: int) -> str:
    return blake2b(b"%d:%b" % (line, payload), digest_size=_DERIVED_ID_BYTES).hexdigest()
