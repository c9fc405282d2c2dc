"""Records as bytes: the JSON form that the log keeps, without defaults."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import MISSING, dataclass, fields
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from operator import attrgetter
from typing import Any, Self

import orjson

from recsys.catalog import Item
from recsys.events import Event, EventType, Record, RecordKind

DIGEST_BYTES = 16
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

EVENT_FIELDS = tuple(field.name for field in fields(Event))
ITEM_FIELDS = tuple(field.name for field in fields(Item))
_DEFAULTS = {
    kind: tuple(field.default if field.default is not MISSING else None for field in fields(fact))
    for kind, fact in ((RecordKind.EVENT, Event), (RecordKind.ITEM, Item))
}
_VALUES = {
    RecordKind.EVENT: attrgetter(*EVENT_FIELDS),
    RecordKind.ITEM: attrgetter(*ITEM_FIELDS),
}


@dataclass(frozen=True, slots=True)
class Lines:
    """Records ready to be stored, as parallel columns: the form in which many travel fast.

    kinds: `event` or `item`.
    item_ids: the item each record is about.
    digests: 16 bytes of each event's id, None for an item.
    payloads: JSON of each fact.
    """

    kinds: Sequence[str]
    item_ids: Sequence[str]
    digests: Sequence[bytes | None]
    payloads: Sequence[bytes]

    def __len__(self) -> int:
        return len(self.payloads)

    @classmethod
    def of(cls, records: Sequence[Record]) -> Self:
        """Return the lines of these records, in order."""
        facts = [record.fact for record in records]
        return cls(
            [record.kind.value for record in records],
            [fact.item_id for fact in facts],
            [digest_of(fact.event_id) if isinstance(fact, Event) else None for fact in facts],
            [encode(fact) for fact in facts],
        )

    @classmethod
    def joined(cls, parts: Sequence[Lines]) -> Lines:
        """Return the lines of all parts, one after the other."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            [kind for part in parts for kind in part.kinds],
            [item_id for part in parts for item_id in part.item_ids],
            [digest for part in parts for digest in part.digests],
            [payload for part in parts for payload in part.payloads],
        )


def digest_of(event_id: str) -> bytes:
    """Return the 16 bytes under which the log remembers an event id."""
    return blake2b(event_id.encode(), digest_size=DIGEST_BYTES).digest()


def encode(fact: Event | Item) -> bytes:
    """Return a fact as JSON: fields in the order of the class, defaults left out."""
    kind = RecordKind.EVENT if isinstance(fact, Event) else RecordKind.ITEM
    document = {
        name: value
        for name, value, default in zip(
            _NAMES[kind], _VALUES[kind](fact), _DEFAULTS[kind], strict=True
        )
        if value != default
    }
    if isinstance(fact, Event):
        document["time"] = microseconds(fact.time)
    return orjson.dumps(document)


def decode(kind: str, payload: bytes) -> Event | Item:
    """Return the fact behind its JSON; a null means the field's default."""
    document: dict[str, Any] = {
        name: value for name, value in orjson.loads(payload).items() if value is not None
    }
    if kind == RecordKind.ITEM:
        return Item(**document)
    document["type"] = EventType(document["type"])
    document["time"] = _EPOCH + timedelta(microseconds=document["time"])
    return Event(**document)


def records_of(rows: Iterable[tuple[int, str, int, bytes]]) -> list[Record]:
    """Return the records of rows of the log: position, kind, item row, payload."""
    return [
        Record(decode(kind, payload), position=position, item_row=item_row)
        for position, kind, item_row, payload in rows
    ]


def microseconds(time: datetime) -> int:
    """Return an instant as microseconds since 1970."""
    return (time - _EPOCH) // _MICROSECOND


def instant(value: int) -> datetime:
    """Return the instant, UTC, of microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=value)


_NAMES = {RecordKind.EVENT: EVENT_FIELDS, RecordKind.ITEM: ITEM_FIELDS}
