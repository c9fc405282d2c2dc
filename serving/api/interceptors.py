"""What happens around every call: errors become statuses, and one line is logged."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any, Generic, TypeVar

import grpc
import structlog
from google.rpc import code_pb2
from grpc_status import rpc_status

from recsys.errors import RecsysError
from serving.api.errors import internal_status, status_of
from serving.metrics import CallMetrics
from serving.telemetry import described

Request = TypeVar("Request")
Response = TypeVar("Response")

log = structlog.get_logger("serving.api")


class StatusInterceptor(grpc.aio.ServerInterceptor):
    """Gives each error its status, counts and times every unary call and logs it in one line."""

    def __init__(self, metrics: CallMetrics) -> None:
        self._metrics = metrics

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Request, Response] | None]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Request, Response] | None:
        """Return the method's handler with this interceptor around it; streams pass as they are."""
        handler: Any = await continuation(handler_call_details)
        if handler is None or handler.unary_unary is None:
            return handler  # type: ignore[no-any-return]  # handlers are not typed
        call = _Call(handler_call_details.method, handler.unary_unary, self._metrics)
        return grpc.unary_unary_rpc_method_handler(
            call.run,  # gRPC awaits functions only, not objects that can be called
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


class _Call(Generic[Request, Response]):
    """One method, guarded."""

    def __init__(
        self,
        method: str,
        behaviour: Callable[[Request, Any], Awaitable[Response]],
        metrics: CallMetrics,
    ) -> None:
        self._method = method
        self._behaviour = behaviour
        self._metrics = metrics

    async def run(self, request: Request, context: Any) -> Response:
        started = perf_counter()
        fault: dict[str, str] = {}
        code = "CANCELLED"
        try:
            response = await self._behaviour(request, context)
            code = "OK"
            return response
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


def _code_name(code: Any) -> str:
    """Return the name of a status code, which gRPC gives as its enum or as its number."""
    number = code.value[0] if isinstance(code, grpc.StatusCode) else code
    return code_pb2.Code.Name(number)  # type: ignore[no-any-return]  # google.rpc is not typed
