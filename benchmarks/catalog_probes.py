"""Probes of the catalog: a change through one worker, answers of every worker until they obey it.

Two run beside each other. One takes the item at the top of a customer's home page, has it sold out,
and asks each worker in turn until none shows it; then puts it back in stock, and asks until each
shows it again. The other describes a new item and asks each worker for the home pages of one
customer after another: of a home page of twenty one place is kept for newcomers, and the probe's
item is the only one, since it is deleted once it was seen and all others were described long ago.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

import grpc

from protos.recsys.v1 import catalog_service_pb2 as catalog_pb
from protos.recsys.v1 import catalog_service_pb2_grpc as catalog_grpc
from protos.recsys.v1 import recommendation_service_pb2 as pb
from protos.recsys.v1 import recommendation_service_pb2_grpc as pb_grpc

MOST_S = 10.0
"""After this a change is taken as never obeyed."""
PAUSE_S = 0.005
"""Between two questions: the probes are not to be the load. What is measured is as coarse."""
IN_STOCK = 100.0

Obeys = Callable[[list[str]], bool]


@dataclass(frozen=True, slots=True)
class Change:
    """One change, on the monotonic clock.

    obeyed_at: the end of the answer by which each worker obeyed, in the order in which they did;
    fewer than there are workers where not all did.
    """

    acknowledged_at: float
    obeyed_at: tuple[float, ...]


@dataclass(slots=True)
class CatalogProbing:
    """What came of all probes.

    gone, back, new: changes by what was waited for. n_workers: who had to obey. errors: failed
    calls. degraded: answers that do not count, being without the customer's state.
    """

    n_workers: int
    gone: list[Change] = field(default_factory=list)
    back: list[Change] = field(default_factory=list)
    new: list[Change] = field(default_factory=list)
    errors: int = 0
    degraded: int = 0


class CatalogProber:
    """Probes over one channel to each worker.

    requests: serialised questions for home pages, one a customer.
    """

    def __init__(self, channels: Sequence[grpc.aio.Channel], requests: Sequence[bytes]) -> None:
        self.found = CatalogProbing(len(channels))
        self._change = [catalog_grpc.CatalogServiceStub(channel) for channel in channels]
        self._ask = [pb_grpc.RecommendationServiceStub(channel).Recommend for channel in channels]
        self._requests = [pb.RecommendRequest.FromString(request) for request in requests]

    async def run(self, until: Callable[[], bool]) -> None:
        """Probe until told to stop."""
        await asyncio.gather(self._over(self._stock, until), self._over(self._newcomer, until))

    async def _over(
        self, probe: Callable[[int], Awaitable[None]], until: Callable[[], bool]
    ) -> None:
        number = 0
        while not until():
            try:
                await probe(number)
            except grpc.RpcError:
                self.found.errors += 1
                await asyncio.sleep(PAUSE_S)
            number += 1

    async def _stock(self, number: int) -> None:
        """Sell out the first item of a customer's home page, and put it back in stock."""
        request, workers = self._request(number), range(len(self._ask))
        top = (await self._items(number % len(self._ask), request))[0]
        acknowledged_at = await self._in_stock(number, top, 0.0)
        gone = await self._obeyed(workers, lambda _: request, lambda items: top not in items)
        self.found.gone.append(Change(acknowledged_at, gone))
        acknowledged_at = await self._in_stock(number + 1, top, IN_STOCK)
        back = await self._obeyed(workers, lambda _: request, lambda items: top in items)
        self.found.back.append(Change(acknowledged_at, back))

    async def _newcomer(self, number: int) -> None:
        """Describe a new item, wait until each worker has shown it to somebody, and delete it."""
        new = catalog_pb.Item(item_id=uuid4().hex, title="New", category="Category 1", price=5.0)
        change = self._change[number % len(self._change)]
        told = await change.UpsertItems(catalog_pb.UpsertItemsRequest(items=[new]), timeout=MOST_S)
        acknowledged_at = time.monotonic()
        if told.changed_count != 1:
            raise RuntimeError(f"an item was not taken: {told}")
        shown = await self._obeyed(
            range(len(self._ask)), self._request, lambda items: new.item_id in items
        )
        self.found.new.append(Change(acknowledged_at, shown))
        await change.DeleteItems(
            catalog_pb.DeleteItemsRequest(item_ids=[new.item_id]), timeout=MOST_S
        )

    async def _in_stock(self, number: int, item_id: str, stock: float) -> float:
        """Set an item's stock through one worker; return when that was acknowledged."""
        update = catalog_pb.OfferUpdate(item_id=item_id, stock=stock)
        change = self._change[number % len(self._change)]
        told = await change.UpdateOffers(
            catalog_pb.UpdateOffersRequest(updates=[update]), timeout=MOST_S
        )
        if told.rejected or told.missing_ids:
            raise RuntimeError(f"an update was not taken: {told}")
        return time.monotonic()

    async def _obeyed(
        self, workers: Sequence[int], request: Callable[[int], pb.RecommendRequest], obeys: Obeys
    ) -> tuple[float, ...]:
        """Ask the workers in turn, each until it obeys; return when each did, as far as any did.

        request: what to ask, by how often was asked before.
        """
        waiting, obeyed, asked = list(workers), list[float](), 0
        deadline = time.monotonic() + MOST_S
        while waiting and time.monotonic() < deadline:
            for worker in tuple(waiting):
                items = await self._items(worker, request(asked))
                asked += 1
                if obeys(items):
                    waiting.remove(worker)
                    obeyed.append(time.monotonic())
            await asyncio.sleep(PAUSE_S)
        return tuple(obeyed)

    def _request(self, number: int) -> pb.RecommendRequest:
        return self._requests[number % len(self._requests)]

    async def _items(self, worker: int, request: pb.RecommendRequest) -> list[str]:
        """Return the items of a worker's first answer that knows the customer."""
        while True:
            answer = await self._ask[worker](request, timeout=MOST_S)
            if not answer.degraded:
                return [item.item_id for item in answer.items]
            self.found.degraded += 1
            await asyncio.sleep(PAUSE_S)
