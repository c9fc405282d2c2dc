"""Load on a gRPC server from one client process: closed loop, or open loop with Poisson arrivals.

`python -m benchmarks.load` reads a `Load` as a line of JSON, says `ready` once it is connected,
reads the instant at which the window begins, and prints a `Tally` as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field

import grpc
import uvloop

from benchmarks.event_batches import EventBatches
from protos.recsys.v1 import catalog_service_pb2 as catalog_pb
from protos.recsys.v1 import event_service_pb2 as event_pb
from protos.recsys.v1 import recommendation_service_pb2 as pb

RECOMMEND = "/recsys.v1.RecommendationService/Recommend"
WRITE_EVENTS = "/recsys.v1.EventService/WriteEvents"
UPDATE_OFFERS = "/recsys.v1.CatalogService/UpdateOffers"

Call = Callable[..., Awaitable[bytes]]

TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Load:
    """What one client process does.

    requests: serialised requests as hex, sent in turn. batches: drawn instead of them, each new.
    seconds: length of the window that counts;
    the load itself starts before it. in_flight: calls under way at any moment (closed loop).
    rate: calls a second (open loop); 0 means a closed loop.
    """

    address: str
    method: str
    requests: tuple[str, ...]
    seconds: float
    channels: int
    in_flight: int
    rate: float
    seed: int
    batches: EventBatches | None = None


@dataclass(slots=True)
class Tally:
    """What came of it, within the window.

    answers: calls answered. errors: calls that failed. degraded: answers that say so.
    items, response_bytes: sums over the answers; the items of a batch of events, or of changes of
    the catalog, are those that were accepted, or made. latencies_ms: of each answer; in an open
    loop counted from the instant the call was meant to be sent, so that a slow server cannot hide.
    acknowledged, unknown: numbers of the batches that were answered, and of those that were not;
    within the window or not.
    """

    answers: int = 0
    errors: int = 0
    degraded: int = 0
    items: int = 0
    response_bytes: int = 0
    latencies_ms: list[float] = field(default_factory=list)
    acknowledged: list[int] = field(default_factory=list)
    unknown: list[int] = field(default_factory=list)


async def run(load: Load, begins_at: Callable[[], float]) -> Tally:
    """Return the tally of a load.

    begins_at: called once connected; returns when the window begins, on the monotonic clock.
    """
    channels = [
        grpc.aio.insecure_channel(load.address, options=[("grpc.use_local_subchannel_pool", 1)])
        for _ in range(load.channels)
    ]
    for channel in channels:
        await asyncio.wait_for(channel.channel_ready(), TIMEOUT_S)
    calls: list[Call] = [channel.unary_unary(load.method) for channel in channels]
    client = _Client(load, calls, begins_at())
    try:
        await (client.open_loop() if load.rate else client.closed_loop())
    finally:
        for channel in channels:
            await channel.close()
    return client.tally


class _Client:
    """The calls of one load, counted as they end."""

    def __init__(self, load: Load, calls: list[Call], begins_at: float) -> None:
        self.tally = Tally()
        self._load = load
        self._calls = calls
        self._request = _requests(load)
        self._begins_at = begins_at
        self._ends_at = begins_at + load.seconds

    async def closed_loop(self) -> None:
        """Keep so many calls under way until the window ends."""
        await asyncio.gather(*(self._caller(place) for place in range(self._load.in_flight)))

    async def open_loop(self) -> None:
        """Send calls at random instants of the wanted rate, whether answered or not."""
        chance = random.Random(self._load.seed)
        under_way: set[asyncio.Task[None]] = set()
        number, due = 0, time.monotonic()
        while (due := due + chance.expovariate(self._load.rate)) < self._ends_at:
            if (wait := due - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            task = asyncio.create_task(self._call(number, due, meant_at=due))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            number += 1
        if under_way:
            await asyncio.wait(under_way)

    async def _caller(self, place: int) -> None:
        number = place
        while (now := time.monotonic()) < self._ends_at:
            await self._call(number, now, meant_at=None)
            number += self._load.in_flight

    async def _call(self, number: int, started: float, *, meant_at: float | None) -> None:
        """Make one call; it counts by when it was meant to start, or else by when it ended."""
        call = self._calls[number % len(self._calls)]
        try:
            answer = await call(self._request(number), timeout=TIMEOUT_S)
        except grpc.RpcError:
            answer = None
        ended = time.monotonic()
        if self._load.batches:
            known = self.tally.unknown if answer is None else self.tally.acknowledged
            known.append(number)
        counts_at = ended if meant_at is None else meant_at
        if self._begins_at <= counts_at < self._ends_at:
            self._count(answer, (ended - started) * 1_000)

    def _count(self, answer: bytes | None, ms: float) -> None:
        if answer is None:
            self.tally.errors += 1
            return
        self.tally.answers += 1
        self.tally.response_bytes += len(answer)
        self.tally.latencies_ms.append(ms)
        if self._load.method == RECOMMEND:
            response = pb.RecommendResponse.FromString(answer)
            self.tally.degraded += response.degraded
            self.tally.items += len(response.items)
        elif self._load.method == WRITE_EVENTS:
            self.tally.items += event_pb.WriteEventsResponse.FromString(answer).accepted_count
        elif self._load.method == UPDATE_OFFERS:
            self.tally.items += catalog_pb.UpdateOffersResponse.FromString(answer).changed_count


def _requests(load: Load) -> Callable[[int], bytes]:
    """Return what gives the request of each number."""
    if load.batches is not None:
        return load.batches.drawn()
    requests = [bytes.fromhex(request) for request in load.requests]
    return lambda number: requests[number % len(requests)]


def _read(line: str) -> Load:
    """Return a load that was written as JSON."""
    fields = json.loads(line)
    batches = fields.pop("batches")
    return Load(**fields, batches=EventBatches(**batches) if batches else None)


def _told() -> float:
    """Say that everything is ready, and return what the other side then says."""
    print("ready", flush=True)
    return float(sys.stdin.readline())


def _tell(text: str) -> None:
    """Write all of a long line: a stream without buffer may drop what a pipe does not take."""
    left = memoryview(text.encode())
    while left:
        left = left[os.write(sys.stdout.fileno(), left) :]


if __name__ == "__main__":
    asked = _read(sys.stdin.readline())
    _tell(json.dumps(asdict(uvloop.run(run(asked, _told)))))
