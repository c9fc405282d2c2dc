from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from protos.recsys.v1 import event_service_pb2_grpc as event_grpc
from protos.recsys.v1 import recommendation_service_pb2_grpc as pb_grpc
from recsys.errors import InvalidInput, NotFound, RecsysError, Unavailable
from recsys.events import Event, EventType
from recsys.ids import ItemId
from recsys.query import Page, Query, Reason, ReasonCode, Recommendation, RecommendedItem, Tier
from serving.api.event_servicer import EventServicer
from serving.api.interceptors import StatusInterceptor
from serving.api.recommendation_servicer import RecommendationServicer
from serving.client import Client, RecsysClient
from serving.ingest import RejectedEvent, WriteResult
from serving.metrics import CallMetrics, Registry
from serving.shapes import events_of_segment
from tests.serving.unasked import Unasked

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
AN_HOUR_AGO = NOW - timedelta(hours=1)


@dataclass
class Kiosk(Unasked):
    """Sells bread and tea: recommends them to everybody, and keeps every event it is told."""

    queries: list[Query] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    failures_left: int = 0

    async def recommend_page(
        self, page: Page, *, within_s: float | None = None
    ) -> Sequence[Recommendation]:
        return [await self.recommend(query) for query in page.queries]

    async def recommend(self, query: Query) -> Recommendation:
        self.queries.append(query)
        if self.failures_left:
            self.failures_left -= 1
            raise Unavailable("the kiosk opens in a moment", reason="OPENING")
        if query.placement == "slow":
            await asyncio.sleep(5)
        if query.placement == "broken":
            raise ValueError("a fault")
        if query.placement != "home":
            raise NotFound("no such placement", reason="UNKNOWN_PLACEMENT")
        reason = Reason(ReasonCode.POPULAR, "Many buy it.")
        items = tuple(
            RecommendedItem(ItemId(item), item.title(), place, 1.0 / place, "popular", reason)
            for place, item in enumerate(("bread", "tea"), start=1)
        )
        return Recommendation(items, query.placement, Tier.POPULAR, "v1", "token-1")

    async def write(self, valid: Sequence[Event], rejected: Sequence[RejectedEvent]) -> WriteResult:
        self.events.extend(valid)
        return WriteResult(len(valid), 0, len(self.events), tuple(rejected))


class Peers(grpc.aio.ServerInterceptor):
    """Notes the connection that each call came through."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        handler = await continuation(handler_call_details)

        async def noted(request: Any, context: Any) -> Any:
            self.seen.add(context.peer())
            return await handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(
            noted,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


@pytest.fixture
def kiosk() -> Kiosk:
    return Kiosk()


@pytest.fixture
def peers() -> Peers:
    return Peers()


@pytest.fixture
async def address(kiosk: Kiosk, peers: Peers) -> AsyncIterator[str]:
    server = grpc.aio.server(interceptors=[peers, StatusInterceptor(CallMetrics(Registry()))])
    pb_grpc.add_RecommendationServiceServicer_to_server(
        RecommendationServicer(kiosk, lambda: NOW), server
    )
    event_grpc.add_EventServiceServicer_to_server(EventServicer(kiosk, lambda: NOW), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


@pytest.fixture
async def client(address: str) -> AsyncIterator[Client]:
    async with Client(address, timeout_ms=3_000) as client:
        yield client


def purchase(event_id: str, **changed: Any) -> Event:
    event = Event(event_id, EventType.PURCHASE, NOW, ItemId("bread"), user_id="ann")
    return replace(event, **changed)


async def test_recommend_returns_what_the_service_answered(client: Client, kiosk: Kiosk) -> None:
    answer = await client.recommend(
        "home", user_id="ann", seeds=["tea"], excluded=["milk"], limit=2
    )

    assert answer.item_ids == ("bread", "tea")
    assert (answer.tier, answer.attribution_token) == (Tier.POPULAR, "token-1")
    assert kiosk.queries == [
        Query("home", NOW, "ann", seeds=(ItemId("tea"),), excluded=(ItemId("milk"),), limit=2)
    ]


async def test_write_events_says_which_did_not_count(client: Client, kiosk: Kiosk) -> None:
    good, bad = purchase("e1", price=2.5), purchase("e2", quantity=-1.0)

    result = await client.write_events([good, bad])

    assert (result.accepted, result.position) == (1, 1)
    assert [(one.index, one.field) for one in result.rejected] == [(1, "quantity")]
    assert kiosk.events == [good]


async def test_times_of_a_wrong_clock_are_corrected_by_when_they_were_sent(
    client: Client, kiosk: Kiosk
) -> None:
    wrong = timedelta(days=3)

    await client.write_events([purchase("e1", time=AN_HOUR_AGO + wrong)], sent_time=NOW + wrong)

    assert [event.time for event in kiosk.events] == [AN_HOUR_AGO]


async def test_server_tells_robots_by_the_user_agent_of_each_event(
    client: Client, kiosk: Kiosk
) -> None:
    crawler = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"

    await client.write_events([purchase("e1"), purchase("e2")], user_agents=["", crawler])

    assert [event.robot for event in kiosk.events] == [False, True]


@pytest.mark.parametrize("user_agents", [["Firefox"], "Firefox"])
async def test_user_agents_that_are_not_one_for_each_event_are_refused(
    client: Client, user_agents: Any
) -> None:
    with pytest.raises(InvalidInput) as caught:
        await client.write_events([purchase("e1"), purchase("e2")], user_agents=user_agents)

    assert caught.value.field == "user_agents"
    assert "one text for each of 2 events" in str(caught.value)


async def test_call_of_segment_is_sent_as_events_of_ours(client: Client, kiosk: Kiosk) -> None:
    call = {
        "type": "track",
        "event": "Product Viewed",
        "messageId": "m1",
        "userId": "ann",
        "timestamp": "2026-03-01T11:00:00Z",
        "properties": {"product_id": "tea"},
    }

    result = await client.write_events(events_of_segment(call))

    assert result.accepted == 1
    assert [(one.event_id, one.type, one.item_id) for one in kiosk.events] == [
        ("m1/0", EventType.DETAIL_VIEW, "tea")
    ]


async def test_unknown_placement_raises_with_the_servers_reason(client: Client) -> None:
    with pytest.raises(NotFound) as caught:
        await client.recommend("hom")

    assert caught.value.reason == "UNKNOWN_PLACEMENT"


async def test_bad_field_raises_with_its_name(client: Client) -> None:
    with pytest.raises(InvalidInput) as caught:
        await client.recommend("home", limit=-1)

    assert caught.value.field == "page_size"


async def test_fault_of_the_service_raises_without_its_inside(client: Client) -> None:
    with pytest.raises(RecsysError) as caught:
        await client.recommend("broken")

    assert caught.value.reason == "INTERNAL"
    assert "a fault" not in str(caught.value)


async def test_short_outage_is_retried_unseen(client: Client, kiosk: Kiosk) -> None:
    kiosk.failures_left = 2

    answer = await client.recommend("home")

    assert len(answer.items) == 2
    assert len(kiosk.queries) == 3


async def test_long_outage_is_raised_after_three_attempts(client: Client, kiosk: Kiosk) -> None:
    kiosk.failures_left = 99

    with pytest.raises(Unavailable) as caught:
        await client.recommend("home")

    assert caught.value.reason == "OPENING"
    assert len(kiosk.queries) == 3


async def test_missed_deadline_is_raised_as_unavailable(address: str) -> None:
    async with Client(address, timeout_ms=100) as client:
        with pytest.raises(Unavailable) as caught:
            await client.recommend("slow")

    assert caught.value.reason == "DEADLINE_EXCEEDED"


async def test_nobody_listening_is_raised_as_unavailable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]

        async with Client(f"127.0.0.1:{port}", timeout_ms=2_000) as client:
            with pytest.raises(Unavailable):
                await client.recommend("home")


async def test_calls_take_the_channels_in_turn(address: str, peers: Peers) -> None:
    async with Client(address, channels=3, timeout_ms=3_000) as client:
        for _ in range(6):
            await client.recommend("home")

    assert len(peers.seen) == 3


async def test_client_without_asyncio_does_the_same(
    address: str, kiosk: Kiosk, peers: Peers
) -> None:
    def shop() -> tuple[Recommendation, WriteResult]:
        with RecsysClient(address, channels=2, timeout_ms=3_000) as client:
            for _ in range(4):
                answer = client.recommend("home", user_id="ann")
            return answer, client.write_events([purchase("e1")], user_agents=["Firefox"])

    answer, result = await asyncio.to_thread(shop)

    assert answer.item_ids == ("bread", "tea")
    assert result == WriteResult(1, 0, 1)
    assert len(peers.seen) == 2


async def test_client_without_asyncio_raises_the_same_errors(address: str) -> None:
    def shop() -> None:
        with RecsysClient(address, timeout_ms=3_000) as client:
            client.recommend("hom")

    with pytest.raises(NotFound) as caught:
        await asyncio.to_thread(shop)

    assert caught.value.reason == "UNKNOWN_PLACEMENT"
