"""Probes of freshness: an event through one worker, answers through another until one obeys it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from uuid import uuid4

import grpc

from protos.recsys.v1 import event_service_pb2 as event_pb
from protos.recsys.v1 import event_service_pb2_grpc as event_grpc
from protos.recsys.v1 import recommendation_service_pb2 as pb
from protos.recsys.v1 import recommendation_service_pb2_grpc as pb_grpc

Ask = Callable[[], Awaitable[list[str]]]

TYPES = (event_pb.EVENT_TYPE_HIDE, event_pb.EVENT_TYPE_PURCHASE)
"""What makes the item at the top of the home page go: in turn."""

CONTROL_EVERY = 10
MOST_S = 10.0
"""After this an event is taken as never reflected."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One event, on the monotonic clock.

    asked: how often the other worker had to be asked; 0 where no answer obeyed.
    """

    sent_at: float
    acknowledged_at: float
    reflected_at: float
    asked: int


@dataclass(slots=True)
class Probing:
    """What came of all probes.

    errors: calls that failed. degraded: answers that do not count, being without the state.
    controls, moved: repeated questions without an event between, and those whose top was gone.
    """

    probes: list[Probe] = field(default_factory=list)
    errors: int = 0
    degraded: int = 0
    controls: int = 0
    moved: int = 0


class Prober:
    """Probes one customer after the other: events through one channel, questions through another.

    requests: serialised questions, one a customer.
    """

    def __init__(
        self, writing: grpc.aio.Channel, asking: grpc.aio.Channel, requests: list[bytes]
    ) -> None:
        self.found = Probing()
        self._write = event_grpc.EventServiceStub(writing).WriteEvents
        self._ask = pb_grpc.RecommendationServiceStub(asking).Recommend
        self._requests = [pb.RecommendRequest.FromString(request) for request in requests]

    async def run(self, until: Callable[[], bool], *, place: int, of: int) -> None:
        """Probe every `of`-th customer, from `place` on and over again, until told to stop."""
        number = place
        while not until():
            request = self._requests[number % len(self._requests)]
            try:
                await self._probe(request, number // of)
            except grpc.RpcError:
                self.found.errors += 1
            number += of

    async def _probe(self, request: pb.RecommendRequest, number: int) -> None:
        top = (await self._items(request))[0]
        if number % CONTROL_EVERY == 0:
            self.found.controls += 1
            self.found.moved += top not in await self._items(request)
        event = event_pb.Event(
            event_id=uuid4().hex,
            type=TYPES[number % len(TYPES)],
            item_id=top,
            user_id=request.user_id,
            visitor_id=request.visitor_id,
        )
        sent_at = time.monotonic()
        answer = await self._write(event_pb.WriteEventsRequest(events=[event]), timeout=MOST_S)
        acknowledged_at = time.monotonic()
        if answer.accepted_count != 1:
            raise RuntimeError(f"an event was not accepted: {answer}")
        asked = await self._reflected(request, top, acknowledged_at + MOST_S)
        self.found.probes.append(Probe(sent_at, acknowledged_at, time.monotonic(), asked))

    async def _reflected(self, request: pb.RecommendRequest, item: str, deadline: float) -> int:
        """Return how many questions it took until the item was gone; 0 if it stays."""
        asked = 0
        while time.monotonic() < deadline:
            asked += 1
            if item not in await self._items(request):
                return asked
        return 0

    async def _items(self, request: pb.RecommendRequest) -> list[str]:
        """Return the items of the first answer that knows the customer."""
        while True:
            answer = await self._ask(request, timeout=MOST_S)
            if not answer.degraded:
                return [item.item_id for item in answer.items]
            self.found.degraded += 1
            await asyncio.sleep(0)
