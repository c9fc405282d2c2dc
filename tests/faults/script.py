"""A scripted life of a log: appends, repeats, drains and trims, with every promise noted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from recsys.errors import Unavailable
from serving.log.writer import Writer
from tests.faults.place import Place, append, events, ids

Acknowledge = Callable[[Sequence[str]], None]

SENT = events(0, 59)
_TRIES = 3
_DRAINING_AFTER = (4, 9)


def run(place: Place, acknowledged: Acknowledge) -> int:
    """Append 60 events in twelve commits, some twice; drain and trim at two moments between.

    What is refused is sent again, as a client does, and what could not be drained is drained at
    the next such moment. Returns how often something was refused.
    """
    writer, n_refused = place.writer(), 0
    with place.tail():  # a second connection, as a server has it: the file is never let go whole
        for number in range(12):
            n_refused += _delivered(place, writer, number * 5, acknowledged)
            if number in _DRAINING_AFTER:
                n_refused += _drained(place)
    writer.close()
    return n_refused


def _delivered(place: Place, writer: Writer, first: int, acknowledged: Acknowledge) -> int:
    """Append five events and the two before them; return how often they were refused."""
    batch = events(max(0, first - 2), first + 4)
    for n_refused in range(_TRIES):
        try:
            append(writer, batch)
        except Unavailable:
            assert _held(place).isdisjoint(ids(events(first, first + 4)))
        else:
            acknowledged(ids(batch))
            return n_refused
    return _TRIES


def _held(place: Place) -> set[str]:
    return {event_id for _, event_id in place.in_log()}


def _drained(place: Place) -> int:
    """Drain, and trim of all there is, as if a store had applied it; return 1 where refused."""
    try:
        place.drain(trim=True)
    except Unavailable:
        return 1
    return 0
