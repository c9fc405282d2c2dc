"""Whether all that clients were promised is there: in log and lake once, and in the states."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from deltalake import DeltaTable

from benchmarks.event_batches import EventBatches, event_of
from recsys.customers import IdKind
from recsys.events import Event, Position
from recsys.state import FACETS, UserState, ties_of
from serving.api.names import TYPES
from serving.log.tail import LogTail
from serving.state.embedded import EmbeddedValkey
from serving.state.keys import Secret, StateKeys
from serving.state.redis_store import RedisSettings, RedisStateStore

RECORDS_A_STEP = 50_000
REMEMBERED = frozenset(kind for facet in FACETS for kind in facet.kinds)
PATIENT = RedisSettings(read_timeout_ms=10_000)


@dataclass(frozen=True, slots=True)
class Sent:
    """What one client sent in one window, by the numbers of its batches.

    acknowledged: answered as recorded. unknown: not answered, so they may be there or not.
    """

    batches: EventBatches
    acknowledged: Sequence[int]
    unknown: Sequence[int]


@dataclass(frozen=True, slots=True)
class Found:
    """What became of the events.

    acknowledged: how many were. lost: of these, those that are nowhere. doubled: there twice.
    invented: there, though nobody sent them.
    """

    acknowledged: int
    lost: int
    doubled: int
    invented: int

    @property
    def wrong(self) -> int:
        """How many events are not as they must be; 0 is right."""
        return self.lost + self.doubled + self.invented


def found_in_log_and_lake(data_folder: Path, sent: Sequence[Sent]) -> Found:
    """Return what is in log and lake, against what was sent; for a server that has stopped."""
    return judged(_stored(data_folder), sent)


def judged(stored: Mapping[int, str], sent: Sequence[Sent]) -> Found:
    """Return what became of the events, given the id at every position."""
    acknowledged = _ids(sent, lambda one: one.acknowledged)
    unknown = _ids(sent, lambda one: one.unknown)
    times = Counter(stored.values())
    return Found(
        len(acknowledged),
        lost=len(acknowledged - times.keys()),
        doubled=sum(1 for n in times.values() if n > 1),
        invented=len(times.keys() - acknowledged - unknown),
    )


def missing_in_states(data_folder: Path, sent: Sequence[Sent], customers: Sequence[int]) -> int:
    """Return how many acknowledged events their customers' states do not hold.

    For a running server, and customers with fewer events than a state keeps.
    """
    states = asyncio.run(_states(data_folder, customers))
    return sum(
        len(_wanted(sent, customer) - _held(state))
        for customer, state in zip(customers, states, strict=True)
    )


def _ids(sent: Iterable[Sent], numbers: Callable[[Sent], Sequence[int]]) -> set[str]:
    return {
        event_id
        for one in sent
        for number in numbers(one)
        for event_id in one.batches.event_ids(number)
    }


def _stored(data_folder: Path) -> dict[int, str]:
    """Return the id of the event at every position, whether in the lake, the log or both."""
    table = DeltaTable(data_folder / "lake" / "events")
    lake = table.to_pyarrow_table(columns=["position", "event_id"])
    positions, event_ids = lake["position"].to_pylist(), lake["event_id"].to_pylist()
    stored = dict(zip(positions, event_ids, strict=True))
    if len(stored) < len(positions):
        raise ValueError(f"{len(positions) - len(stored)} positions are in the lake twice")
    return stored | dict(_logged(data_folder))


def _logged(data_folder: Path) -> Iterator[tuple[int, str]]:
    tail, after = LogTail(data_folder / "log" / "log.sqlite"), Position(0)
    while records := tail.records(after, RECORDS_A_STEP):
        after = Position(records[-1].position)
        yield from (
            (record.position, record.fact.event_id)
            for record in records
            if isinstance(record.fact, Event)
        )
    tail.close()


async def _states(data_folder: Path, customers: Sequence[int]) -> Sequence[UserState]:
    keys = StateKeys(Secret.load_or_create(data_folder / "secret"))
    address = EmbeddedValkey.start_or_adopt(data_folder).address
    store = RedisStateStore(address, keys, PATIENT)
    try:
        return await store.read([[keys.customer(*_owner(customer))] for customer in customers])
    finally:
        await store.close()


def _owner(customer: int) -> tuple[IdKind, str]:
    """Return the id under which a customer's events are remembered."""
    event = event_of("CLICK", item=0, customer=customer, order=0)
    if event.user_id:
        return IdKind.USER, event.user_id
    return IdKind.VISITOR, event.visitor_id


def _wanted(sent: Sequence[Sent], customer: int) -> set[tuple[int, int]]:
    """Return what tells the customer's events apart in a state: time and tie of each."""
    events = [
        event
        for one in sent
        for event in one.batches.events_of(customer, one.acknowledged)
        if TYPES[event.type] in REMEMBERED
    ]
    times = np.array([event.time.ToMicroseconds() for event in events], dtype=np.int64)
    ties = ties_of(times, (event.event_id for event in events))
    return set(zip((times // 1_000_000).tolist(), ties.tolist(), strict=True))


def _held(state: UserState) -> set[tuple[int, int]]:
    return {
        (int(entry["time"]), int(entry["tie"])) for entries in state.facets for entry in entries
    }
