"""Records as bytes: the JSON form that the log keeps, without defaults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import chain, compress
from operator import attrgetter
from typing import Any, Self

import numpy as np
import orjson

from recsys.events import Channel, Event, EventType, Record

DIGEST_BYTES = 16
MICROSECONDS_A_DAY = 86_400_000_000
NEWLINE = b"\n"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

EVENT_FIELDS = tuple(field.name for field in fields(Event))
_VALUES = attrgetter(*EVENT_FIELDS)
_DEFAULTS = tuple(None if field.default is MISSING else field.default for field in fields(Event))


@dataclass(frozen=True, slots=True)
class Lines:
    """Events ready to be stored, as parallel columns: the form in which many travel fast.

    item_ids: the item each event is about; empty for one without.
    digests: 16 bytes of each event's id, end to end.
    payload: JSON of each event, one a line.
    """

    item_ids: Sequence[str]
    digests: bytes
    payload: bytes

    def __post_init__(self) -> None:
        n_events = len(self.item_ids)
        if len(self.digests) != DIGEST_BYTES * n_events:
            raise ValueError(f"{len(self.digests)} bytes of digests for {n_events} events")
        if self.payload.count(NEWLINE) != max(n_events - 1, 0):
            raise ValueError(f"{n_events} events in another number of lines")

    def __len__(self) -> int:
        return len(self.item_ids)

    @classmethod
    def of(cls, records: Sequence[Record]) -> Self:
        """Return the lines of these records, in order."""
        events = [record.fact for record in records]
        return cls(
            [event.item_id for event in events],
            b"".join([digest_of(event.event_id) for event in events]),
            NEWLINE.join([encode(event) for event in events]),
        )

    def chosen(self, mask: Sequence[bool]) -> Lines:
        """Return the lines where the mask is true."""
        return Lines(
            list(compress(self.item_ids, mask)),
            b"".join(compress(split_digests(self.digests), mask)),
            NEWLINE.join(compress(self.payload.split(NEWLINE), mask)),
        )

    @classmethod
    def joined(cls, parts: Sequence[Lines]) -> Lines:
        """Return the lines of all parts, one after the other."""
        if len(parts) == 1:
            return parts[0]
        return cls(
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


def encode(event: Event) -> bytes:
    """Return an event as JSON: fields in the order of the class, defaults left out."""
    document = {
        name: value
        for name, value, default in zip(EVENT_FIELDS, _VALUES(event), _DEFAULTS, strict=True)
        if value != default
    }
    document["time"] = microseconds(event.time)
    return orjson.dumps(document)


def decode(payload: bytes) -> Event:
    """Return the event behind its JSON; a null means the field's default."""
    document: dict[str, Any] = {
        name: value for name, value in orjson.loads(payload).items() if value is not None
    }
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
