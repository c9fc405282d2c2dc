"""Instants between the wire and the domain."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from recsys.errors import InvalidInput

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NANOS_A_SECOND = 1_000_000_000


def instant_of(field: str, stamp: Timestamp) -> datetime:
    """Return the instant of a stamp, UTC. Raises InvalidInput for one out of its own limits."""
    seconds, nanos = stamp.seconds, stamp.nanos
    try:
        if 0 <= nanos < _NANOS_A_SECOND:
            return _EPOCH + timedelta(0, seconds, nanos // 1_000)  # half the cost of ToDatetime
    except OverflowError:
        pass
    raise InvalidInput(field, f"{seconds} s, {nanos} ns", "a Timestamp within its own limits")


def stamp_of(time: datetime | None) -> Timestamp | None:
    """Return the stamp of an instant, None for none."""
    if time is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp
