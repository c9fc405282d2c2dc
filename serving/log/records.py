"""Records as bytes: the JSON form that the log keeps, without defaults."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import chain, compress
from operator import attrgetter
from typing import Any, Self

import numpy as np
import orjson

from recsys.catalog import Item
from recsys.events import Channel, Event, EventType, Record, RecordKind

DIGEST_BYTES = 16
MICROSECONDS_A_DAY = 86_400_000_000
NEWLINE = b"\n"
_EVENT = RecordKind.EVENT.value
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

EVENT_FIELDS = tuple(field.name for field in fields(Event))
ITEM_FIELDS = tuple(field.name for field in fields(Item))

_Form = tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]], tuple[Any, ...]]
"""Of a kind of fact: the names of its fields, what reads them all, their defaults."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Records ready to be stored, as parallel columns: the form in which many travel fast.

    kinds: `event` or `item`.
    item_ids: the item each record is about; empty for an event without one.
    digests: 16 bytes of each event's id, end to end; items have none.
    payload: JSON of each fact, one a line.
    """

    kinds: Sequence[str]
    item_ids: Sequence[str]
    digests: bytes
    payload: bytes

    def __post_init__(self) -> None:
        n_events = self.kinds.count(_EVENT)
        if len(self.digests) != DIGEST_BYTES * n_events:
            raise ValueError(
                f"{len(self.digests)} bytes of digests for {n_events} events among "
                f"{len(self.kinds)} records"
            )
        if self.payload.count(NEWLINE) != max(len(self.kinds) - 1, 0):
            raise ValueError(f"{len(self.kinds)} records in another number of lines")

    def __len__(self) -> int:
        return len(self.kinds)

    @classmethod
    def of(cls, records: Sequence[Record]) -> Self:
        """Return the lines of these records, in order."""
        facts = [record.fact for record in records]
        return cls(
            [record.kind.value for record in records],
            [fact.item_id for fact in facts],
            b"".join([digest_of(fact.event_id) for fact in facts if isinstance(fact, Event)]),
            NEWLINE.join([encode(fact) for fact in facts]),
        )

    def chosen(self, mask: Sequence[bool]) -> Lines:
        """Return the lines where the mask is true."""
        of_events = [new for kind, new in zip(self.kinds, mask, strict=True) if kind == _EVENT]
        return Lines(
            list(compress(self.kinds, mask)),
            list(compress(self.item_ids, mask)),
            b"".join(compress(split_digests(self.digests), of_events)),
            NEWLINE.join(compress(self.payload.split(NEWLINE), mask)),
        )

    @classmethod
    def joined(cls, parts: Sequence[Lines]) -> Lines:
        """Return the lines of all parts, one after the other."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            list(chain.from_iterable(part.kinds for part in parts)),
            list(chain.from_iterable(part.item_ids for part in parts)),
            b"".join([part.digests for part in parts]),
            NEWLINE.join([part.payload for part in parts if len(part)]),
        )


def digest_of(event_id: str) -> bytes:
    """Return the 16 bytes under which the log remembers an event id."""
    return blake2b(event_id.encode(), digest_size=DIGEST_BYTES).digest()


def split_digests(digests: bytes) -> list[bytes]:
    """Return the single digests of those laid end to end."""
    split: list[bytes] = np.frombuffer(digests, dtype=f"V{DIGEST_BYTES}").tolist()
    return split


def encode(fact: Event | Item) -> bytes:
    """Return a fact as JSON: fields in the order of the class, defaults left out."""
    names, values, defaults = _EVENT_FORM if isinstance(fact, Event) else _ITEM_FORM
    document = {
        name: value
        for name, value, default in zip(names, values(fact), defaults, strict=True)
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
    if "channel" in document:
        document["channel"] = Channel(document["channel"])
    document["time"] = _EPOCH + timedelta(microseconds=document["time"])
    return Event(**document)


def microseconds(time: datetime) -> int:
    """Return an instant as microseconds since 1970."""
    return (time - _EPOCH) // _MICROSECOND


def instant(value: int) -> datetime:
    """Return the instant, UTC, of microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=value)


def _form(fact: type[Event] | type[Item], names: tuple[str, ...]) -> _Form:
    defaults = [field.default for field in fields(fact)]
    return (
        names,
        attrgetter(*names),
        tuple(None if default is MISSING else default for default in defaults),
    )


_EVENT_FORM = _form(Event, EVENT_FIELDS)
_ITEM_FORM = _form(Item, ITEM_FIELDS)
