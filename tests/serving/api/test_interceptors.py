from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from structlog.testing import capture_logs

from protos.recsys.v1 import recommendation_service_pb2 as pb
from protos.recsys.v1 import recommendation_service_pb2_grpc as pb_grpc
from recsys.errors import InvalidInput, NotFound
from recsys.query import Page, Query, Recommendation, Tier
from serving.api.interceptors import StatusInterceptor
from serving.api.recommendation_servicer import RecommendationServicer
from serving.metrics import CallMetrics, Registry
from tests.serving.unasked import Unasked

METHOD = "/recsys.v1.RecommendationService/Recommend"


class Shelf(Unasked):
    """Answers `home` with nothing, `slow` in a minute, trips over `broken`, knows no other."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def recommend_page(
        self, page: Page, *, within_s: float | None = None
    ) -> Sequence[Recommendation]:
        return [await self.recommend(query) for query in page.queries]

    async def recommend(self, query: Query) -> Recommendation:
        if query.placement == "slow":
            self.asked.set()
            await asyncio.sleep(60)
        if query.placement == "long":
            raise InvalidInput("placement", "😀" * 9_999, "a word")
        if query.placement == "broken":
            raise ValueError(f"a fault about {query.user_id}")
        if query.placement != "home":
            raise NotFound(f"no placement {query.placement}", reason="UNKNOWN_PLACEMENT")
        return Recommendation((), query.placement, Tier.POPULAR, "v1", "token")


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def interceptor(registry: Registry) -> StatusInterceptor:
    return StatusInterceptor(CallMetrics(registry))


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> pb_grpc.RecommendationServiceStub:
    return pb_grpc.RecommendationServiceStub(channel)


@pytest.fixture
async def channel(interceptor: StatusInterceptor, shelf: Shelf) -> AsyncIterator[grpc.aio.Channel]:
    server = grpc.aio.server(interceptors=[interceptor])
    servicer = RecommendationServicer(shelf, lambda: datetime(2026, 3, 1, tzinfo=UTC))
    pb_grpc.add_RecommendationServiceServicer_to_server(servicer, server)
    health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop(None)


def calls(registry: Registry) -> dict[tuple[str, str], float]:
    """Return how many calls have ended, by method and code."""
    (counted,) = (one for one in registry.collect() if one.name == "recsys_grpc_requests")
    return {
        (sample.labels["method"], sample.labels["code"]): sample.value
        for sample in counted.samples
        if sample.name.endswith("_total")
    }


async def test_answered_call_is_counted_and_logged_in_one_line_without_ids(
    stub: pb_grpc.RecommendationServiceStub, registry: Registry
) -> None:
    with capture_logs() as lines:
        await stub.Recommend(pb.RecommendRequest(placement="home", user_id="ann"))

    assert calls(registry) == {(METHOD, "OK"): 1}
    assert [(line["method"], line["status"]) for line in lines] == [(METHOD, "OK")]
    assert "ann" not in str(lines)


async def test_domain_error_becomes_its_status(
    stub: pb_grpc.RecommendationServiceStub, registry: Registry
) -> None:
    with capture_logs() as lines, pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Recommend(pb.RecommendRequest(placement="hom"))

    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert caught.value.details() == "no placement hom"
    assert calls(registry) == {(METHOD, "NOT_FOUND"): 1}
    assert [line["reason"] for line in lines] == ["UNKNOWN_PLACEMENT"]


async def test_long_message_still_fits_the_headers(
    stub: pb_grpc.RecommendationServiceStub,
) -> None:
    with capture_logs(), pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Recommend(pb.RecommendRequest(placement="long"))

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_fault_of_our_own_tells_the_caller_nothing_and_the_log_where(
    stub: pb_grpc.RecommendationServiceStub, registry: Registry
) -> None:
    with capture_logs() as lines, pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Recommend(pb.RecommendRequest(placement="broken", user_id="ann"))

    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert "fault about" not in str(caught.value.details())
    assert len(lines) == 1
    assert (lines[0]["log_level"], lines[0]["error"]) == ("error", "ValueError")
    assert lines[0]["where"].startswith("recommend:")
    assert "ann" not in str(lines)


async def test_status_that_a_method_sets_itself_is_kept_and_counted(
    channel: grpc.aio.Channel, registry: Registry
) -> None:
    with capture_logs(), pytest.raises(grpc.aio.AioRpcError) as caught:
        await health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(service="nowhere")
        )

    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert calls(registry) == {("/grpc.health.v1.Health/Check", "NOT_FOUND"): 1}


async def test_unknown_method_stays_unimplemented(
    channel: grpc.aio.Channel, registry: Registry
) -> None:
    guess: Any = channel.unary_unary("/recsys.v1.RecommendationService/Guess")

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await guess(b"")

    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert calls(registry) == {}


async def test_call_that_is_cancelled_is_counted_as_such(
    stub: pb_grpc.RecommendationServiceStub, registry: Registry, shelf: Shelf
) -> None:
    call = asyncio.ensure_future(stub.Recommend(pb.RecommendRequest(placement="slow")))
    await shelf.asked.wait()

    with capture_logs():
        call.cancel()
        while not calls(registry):  # noqa: ASYNC110  # a counter tells nobody
            await asyncio.sleep(0.01)

    assert calls(registry) == {(METHOD, "CANCELLED"): 1}
