"""One poison event in a hundred: each is named and kept, and no good event suffers for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from protos.recsys.v1 import event_service_pb2 as pb
from recsys.events import Event, Position
from serving.api.event_servicer import EventServicer
from serving.ingest import Ingest
from serving.log.sqlite_log import SqliteLog
from serving.state.embedded import EmbeddedValkey
from tests.faults.place import Place
from tests.faults.poison import POISON
from tests.faults.states import store_at

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
A_BATCH = 100
AMONG = 37
prefixes = (f"poison{n}:" for n in count())


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[SqliteLog]:
    opened = SqliteLog(Place(tmp_path).log_file, clock=lambda: NOON)
    yield opened
    await opened.close()


@pytest.fixture
async def servicer(log: SqliteLog, valkey: EmbeddedValkey) -> AsyncIterator[EventServicer]:
    store = store_at(valkey.address, next(prefixes))
    yield EventServicer(Ingest(log, store, lambda: NOON), lambda: NOON)
    await store.close()


def stamp(time: datetime) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(time)
    return made


def good(number: int) -> pb.Event:
    return pb.Event(
        event_id=f"e{number}",
        type=pb.EVENT_TYPE_DETAIL_VIEW,
        item_id=f"i{number % 7}",
        user_id=f"c{number % 11}",
        time=stamp(NOON),
    )


async def test_one_poison_event_in_a_hundred_costs_no_good_one(
    servicer: EventServicer, log: SqliteLog
) -> None:
    answers = []
    for batch, spoil in enumerate(POISON.values()):
        events = [good(batch * A_BATCH + place) for place in range(A_BATCH)]
        spoil(events[AMONG])
        request = pb.WriteEventsRequest(events=events)
        answers.append(await servicer.WriteEvents(request, None))  # type: ignore[arg-type]

    records = await log.read(Position(0), A_BATCH * len(POISON))
    kept = await log.quarantined(1_000)
    wanted = {f"e{n}" for n in range(A_BATCH * len(POISON)) if n % A_BATCH != AMONG}
    assert [
        name
        for name, answer in zip(POISON, answers, strict=True)
        if [one.index for one in answer.rejected] != [AMONG]
    ] == []
    assert {answer.accepted_count for answer in answers} == {A_BATCH - 1}
    assert {one.fact.event_id for one in records if isinstance(one.fact, Event)} == wanted
    assert len(records) == len(wanted)
    assert len(kept) == len(POISON)


@pytest.mark.parametrize("name", POISON)
async def test_poison_is_named_with_what_to_do_and_kept_as_it_came(
    name: str, servicer: EventServicer, log: SqliteLog
) -> None:
    message = good(1)
    POISON[name](message)

    answer = await servicer.WriteEvents(pb.WriteEventsRequest(events=[message]), None)  # type: ignore[arg-type]

    (rejected,), (kept,) = answer.rejected, await log.quarantined(10)
    assert (rejected.field, rejected.reason) == (kept.field, kept.reason)
    assert rejected.field
    assert rejected.message == kept.message
    assert kept.payload
