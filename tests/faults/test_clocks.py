"""Clocks that are wrong, of devices and of the server: new events are in order all the same."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from protos.recsys.v1 import event_service_pb2 as pb
from serving.api.event_servicer import EventServicer
from serving.ingest import Ingest
from serving.log.sqlite_log import SqliteLog
from serving.state.address import RedisAddress
from serving.state.embedded import EmbeddedValkey
from tests import shop
from tests.faults.place import Place
from tests.faults.states import keys_of, store_at

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
YEARS = timedelta(days=3 * 365)
A_MINUTE = timedelta(minutes=1)
prefixes = (f"clock{n}:" for n in count())


def stamp(time: datetime | None) -> Timestamp | None:
    if time is None:
        return None
    made = Timestamp()
    made.FromDatetime(time)
    return made


@dataclass
class Server:
    """Everything between a request and a state, with a clock that a test sets."""

    log: SqliteLog
    address: RedisAddress
    prefix: str
    now: datetime = NOON
    numbers: count[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.keys = keys_of(self.prefix)
        self.store = store_at(self.address, self.prefix, self.clock)

    def clock(self) -> datetime:
        return self.now

    async def send(
        self, *items: str, time: datetime | None = None, sent: datetime | None = None
    ) -> pb.WriteEventsResponse:
        """Send views of items by anna, at a time by her device's clock, sent at one by it."""
        messages = [
            pb.Event(
                event_id=f"e{next(self.numbers)}",
                type=pb.EVENT_TYPE_DETAIL_VIEW,
                item_id=item,
                user_id="anna",
                time=stamp(time),
            )
            for item in items
        ]
        servicer = EventServicer(Ingest(self.log, self.store, self.clock), self.clock)
        request = pb.WriteEventsRequest(events=messages, sent_time=stamp(sent))
        return await servicer.WriteEvents(request, None)  # type: ignore[arg-type]

    async def history(self) -> list[str]:
        """Return the items that count, newest first, as answers at this moment see them."""
        query = shop.query(now=self.now)
        states = await self.store.read([self.keys.of_query(query)])
        rows: Sequence[int] = shop.contexts(list(states), [query]).history.rows.tolist()
        return [shop.ITEMS[row] for row in rows]


@pytest.fixture
async def server(valkey: EmbeddedValkey, tmp_path: Path) -> AsyncIterator[Server]:
    log = SqliteLog(Place(tmp_path).log_file, clock=lambda: NOON)
    await log.change_items(shop.items())
    made = Server(log, valkey.address, next(prefixes))
    yield made
    await log.close()
    await made.store.close()


@pytest.mark.parametrize("off", [YEARS, -YEARS, timedelta(hours=2), -timedelta(hours=2)])
async def test_device_that_says_when_it_sends_is_set_right(server: Server, off: timedelta) -> None:
    await server.send("bread", time=NOON - 2 * A_MINUTE)
    await server.send("milk", time=NOON - A_MINUTE + off, sent=NOON + off)
    await server.send("tea", time=NOON)

    assert await server.history() == ["tea", "milk", "bread"]


async def test_device_far_ahead_that_does_not_say_so_is_refused_and_kept_aside(
    server: Server,
) -> None:
    answer = await server.send("milk", time=NOON + YEARS)

    kept = await server.log.quarantined(10)
    assert [one.field for one in answer.rejected] == ["time"]
    assert [one.field for one in kept] == ["time"]
    assert "milk" in kept[0].payload


@pytest.mark.parametrize("n_events", [3, 500])
@pytest.mark.parametrize("off", [YEARS, -YEARS])
async def test_server_whose_clock_was_wrong_orders_new_events_right(
    server: Server, off: timedelta, n_events: int
) -> None:
    """More events than a history holds came while the clock was wrong."""
    await server.send("bread")
    server.now = NOON + off
    for _ in range(n_events):
        server.now += timedelta(seconds=1)
        await server.send("soap")
    server.now = NOON + A_MINUTE
    await server.send("milk")
    server.now += A_MINUTE
    await server.send("tea")

    assert (await server.history())[:2] == ["tea", "milk"]
