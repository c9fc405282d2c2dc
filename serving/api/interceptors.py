"""What happens around every call: errors become statuses, and one line is logged."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from inspect import isasyncgenfunction
from time import perf_counter
from typing import Any, Generic, NoReturn, TypeVar

import grpc
import structlog
from google.protobuf.message import DecodeError
from google.rpc import code_pb2
from grpc_status import rpc_status

from recsys.errors import InvalidInput, RecsysError
from serving.api.errors import internal_status, status_of
from serving.metrics import CallMetrics
from serving.telemetry import described

Request = TypeVar("Request")
Response = TypeVar("Response")
Ended = TypeVar("Ended")

log = structlog.get_logger("serving.api")


class StatusInterceptor(grpc.aio.ServerInterceptor):
    """Gives each error its status; counts, times and logs every call of one request."""

    def __init__(self, metrics: CallMetrics) -> None:
        self._metrics = metrics

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Request, Response] | None]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Request, Response] | None:
        """Return the method's handler with this interceptor around it; other kinds stay bare."""
        handler: Any = await continuation(handler_call_details)
        guard = _Guard(handler_call_details.method, self._metrics)
        # gRPC awaits functions only, not objects that can be called.
        if handler is not None and handler.unary_unary is not None:
            call = _Call(guard, handler.unary_unary).run
            return grpc.unary_unary_rpc_method_handler(call, *_codecs(handler))
        if handler is not None and isasyncgenfunction(handler.unary_stream):
            stream = _Stream(guard, handler.unary_stream).run
            return grpc.unary_stream_rpc_method_handler(stream, *_codecs(handler))
        return handler  # type: ignore[no-any-return]  # handlers are not typed


class _Call(Generic[Request, Response]):
    """One method that answers once, guarded."""

    def __init__(
        self, guard: _Guard, behaviour: Callable[[Request, Any], Awaitable[Response]]
    ) -> None:
        self._guard = guard
        self._behaviour = behaviour

    async def run(self, request: Request, context: Any) -> Response:
        if isinstance(request, _Unreadable):
            return await self._guard.ended(request.refuse(), context)
        return await self._guard.ended(self._behaviour(request, context), context)


class _Stream(Generic[Request, Response]):
    """One method that answers in parts, guarded. It has ended when the call has, however that was.

    gRPC itself would leave it to the garbage collector to end a method whose caller is gone.
    """

    def __init__(
        self, guard: _Guard, behaviour: Callable[[Request, Any], AsyncGenerator[Response, None]]
    ) -> None:
        self._guard = guard
        self._behaviour = behaviour

    async def run(self, request: Request, context: Any) -> None:
        await self._guard.ended(self._written(request, context), context)

    async def _written(self, request: Request, context: Any) -> None:
        if isinstance(request, _Unreadable):
            await request.refuse()
        async with aclosing(self._behaviour(request, context)) as responses:
            async for response in responses:
                await context.write(response)


class _Guard:
    """Gives the errors of one method their status, and records its calls."""

    def __init__(self, method: str, metrics: CallMetrics) -> None:
        self._method = method
        self._metrics = metrics

    async def ended(self, call: Awaitable[Ended], context: Any) -> Ended:
        """Return what a call comes to."""
        started = perf_counter()
        fault: dict[str, str] = {}
        code = "CANCELLED"
        try:
            result = await call
            code = "OK"
            return result
        except grpc.aio.AbortError:
            code = _code_name(context.code())
            raise
        except RecsysError as error:
            status = status_of(error)
            code, fault = code_pb2.Code.Name(status.code), {"reason": error.reason}
        except Exception as error:
            status, code, fault = internal_status(), "INTERNAL", described(error)
        finally:
            self._record(code, perf_counter() - started, fault)
        rich = rpc_status.to_status(status)
        return await context.abort(  # type: ignore[no-any-return]  # raises, whatever its type says
            rich.code, rich.details, trailing_metadata=rich.trailing_metadata
        )

    def _record(self, code: str, seconds: float, fault: dict[str, str]) -> None:
        self._metrics.ended(self._method, code, seconds)
        level = {"OK": log.debug, "INTERNAL": log.error}.get(code, log.info)
        level("call", method=self._method, status=code, ms=round(seconds * 1000, 2), **fault)


def _codecs(handler: Any) -> tuple[Any, Any]:
    """Return what reads the requests of a handler, and what writes its responses."""
    return _Reader(handler.request_deserializer).read, handler.response_serializer


@dataclass(frozen=True, slots=True)
class _Unreadable:
    """Stands for a request that is none. why: what protobuf says of its bytes."""

    why: str

    async def refuse(self) -> NoReturn:
        wanted = "a message of the service's schema, whose texts are UTF-8"
        raise InvalidInput("request", self.why, wanted, reason="UNREADABLE_REQUEST")


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads requests; gRPC itself would answer UNKNOWN for one that cannot be read."""

    deserializer: Callable[[bytes], Any]

    def read(self, raw: bytes) -> Any:
        try:
            return self.deserializer(raw)
        except DecodeError as error:
            return _Unreadable(str(error))


def _code_name(code: Any) -> str:
    """Return the name of a status code, which gRPC gives as its enum or as its number."""
    number = code.value[0] if isinstance(code, grpc.StatusCode) else code
    return code_pb2.Code.Name(number)  # type: ignore[no-any-return]  # google.rpc is not typed
