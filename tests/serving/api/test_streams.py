"""Calls that answer in parts: their errors, their end, and what is counted of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from protos.recsys.v1 import customer_service_pb2 as pb
from protos.recsys.v1 import customer_service_pb2_grpc as pb_grpc
from recsys.customers import Identifier
from recsys.errors import Unavailable
from serving.api.customer_servicer import CustomerServicer
from serving.api.errors import DETAILS_KEY, error_of
from serving.api.interceptors import StatusInterceptor
from serving.clock import utc_now
from serving.metrics import CallMetrics, Registry
from tests.serving.api.test_interceptors import calls

METHOD = "/recsys.v1.CustomerService/ExportCustomer"
NOT_ASKED: Any = None


class Copier:
    """Copies `whole` in two parts, breaks down in `torn` and `broken`, never ends `slow`."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    async def chunks(self, identifier: Identifier) -> AsyncGenerator[bytes, None]:
        try:
            yield b"first"
            if identifier.value == "torn":
                raise Unavailable("the paper is out", reason="NO_PAPER")
            if identifier.value == "broken":
                raise ValueError("a fault about somebody")
            while identifier.value == "slow":
                yield b"more" * 10_000
            yield b"second"
        finally:
            self.ended.set()


@pytest.fixture
def copier() -> Copier:
    return Copier()


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
async def stub(copier: Copier, registry: Registry) -> AsyncIterator[pb_grpc.CustomerServiceStub]:
    server = grpc.aio.server(interceptors=[StatusInterceptor(CallMetrics(registry))])
    servicer = CustomerServicer(NOT_ASKED, utc_now, erasures=NOT_ASKED, exports=copier)
    pb_grpc.add_CustomerServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield pb_grpc.CustomerServiceStub(channel)
    await server.stop(None)


def asked(name: str) -> pb.ExportCustomerRequest:
    identifier = pb.Identifier(kind=pb.IDENTIFIER_KIND_USER, value=name)
    return pb.ExportCustomerRequest(identifier=identifier)


async def test_parts_come_in_their_order_and_the_call_is_counted_once(
    stub: pb_grpc.CustomerServiceStub, registry: Registry
) -> None:
    with capture_logs() as lines:
        parts = [one.chunk async for one in stub.ExportCustomer(asked("whole"))]

    assert parts == [b"first", b"second"]
    assert calls(registry) == {(METHOD, "OK"): 1}
    assert [(line["method"], line["status"]) for line in lines] == [(METHOD, "OK")]


async def test_error_between_parts_has_its_status_and_its_reason(
    stub: pb_grpc.CustomerServiceStub, registry: Registry
) -> None:
    with capture_logs(), pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in stub.ExportCustomer(asked("torn")):
            pass

    details = dict(caught.value.trailing_metadata() or ()).get(DETAILS_KEY, b"")
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert error_of(caught.value.code(), "", details).reason == "NO_PAPER"
    assert calls(registry) == {(METHOD, "UNAVAILABLE"): 1}


async def test_fault_of_our_own_between_parts_tells_the_caller_nothing(
    stub: pb_grpc.CustomerServiceStub,
) -> None:
    with capture_logs() as lines, pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in stub.ExportCustomer(asked("broken")):
            pass

    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert "somebody" not in str(caught.value.details()) + str(lines)
    assert [line["error"] for line in lines] == ["ValueError"]


async def test_method_whose_caller_is_gone_ends(
    stub: pb_grpc.CustomerServiceStub, registry: Registry, copier: Copier
) -> None:
    call = stub.ExportCustomer(asked("slow"))
    await call.read()

    with capture_logs():
        call.cancel()
        await copier.ended.wait()
        while not calls(registry):  # noqa: ASYNC110  # a counter tells nobody
            await asyncio.sleep(0.01)

    assert calls(registry) == {(METHOD, "CANCELLED"): 1}
