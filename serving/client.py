"""Clients for shops written in Python: several channels, a deadline on each call, retries."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from itertools import cycle
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import grpc

from protos.recsys.v1 import event_service_pb2_grpc as event_grpc
from protos.recsys.v1 import recommendation_service_pb2_grpc as pb_grpc
from recsys.errors import RecsysError
from recsys.events import Event
from recsys.query import Recommendation
from serving.api import client_codec
from serving.api.client_codec import Asked
from serving.api.errors import DETAILS_KEY, error_of
from serving.ingest import WriteResult

Response = TypeVar("Response")

DEFAULT_CHANNELS = 4
DEFAULT_TIMEOUT_MS = 1_000.0

# Both methods may be repeated safely: one only reads, the other is idempotent by event_id.
RETRIES = {
    "methodConfig": [
        {
            "name": [
                {"service": "recsys.v1.RecommendationService", "method": "Recommend"},
                {"service": "recsys.v1.EventService", "method": "WriteEvents"},
            ],
            "retryPolicy": {
                "maxAttempts": 3,
                "initialBackoff": "0.02s",
                "maxBackoff": "0.2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}

# One channel stays with one worker of the server; without a pool of its own each further channel
# to the same address would share the first one's connection.
CHANNEL_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.use_local_subchannel_pool", 1),
    # A server that comes back is found within a second; gRPC itself would wait up to two minutes.
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.service_config", json.dumps(RETRIES)),
]


class Client:
    """Asks one recommendation service, from asyncio; made and used inside one running loop.

    address: `host:port`.
    channels: connections to hold; calls take them in turn, which spreads them over workers.
    timeout_ms: most milliseconds a call may take, retries included.
    credentials: of the channels; None for plain text, as on the same machine.

    Every method raises a RecsysError with the server's reason, Unavailable when the service
    cannot be reached or misses the deadline.
    """

    def __init__(
        self,
        address: str,
        *,
        channels: int = DEFAULT_CHANNELS,
        timeout_ms: float = DEFAULT_TIMEOUT_MS,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        self._timeout = timeout_ms / 1_000
        self._channels = [
            grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
            if credentials is None
            else grpc.aio.secure_channel(address, credentials, options=CHANNEL_OPTIONS)
            for _ in range(channels)
        ]
        self._recommendations = cycle(
            [pb_grpc.RecommendationServiceStub(channel) for channel in self._channels]
        )
        self._events = cycle([event_grpc.EventServiceStub(channel) for channel in self._channels])

    async def recommend(self, placement: str, **asked: Unpack[Asked]) -> Recommendation:
        """Return the items of one placement for whoever asks, best first."""
        request = client_codec.encode_query(placement, **asked)
        response = await self._call(next(self._recommendations).Recommend, request)
        return client_codec.decode_recommendation(response)

    async def write_events(
        self,
        events: Sequence[Event],
        sent_time: datetime | None = None,
        *,
        user_agents: Sequence[str] = (),
    ) -> WriteResult:
        """Record at most 1,000 events durably, and return what became of them.

        sent_time: what the clock behind the events' times shows now; where that is wrong, the
        times are corrected by the difference to the server's.
        user_agents: the User-Agent behind each event, in their order, empty where none is known;
        the server tells robots by it and does not keep it.
        """
        request = client_codec.encode_events(events, sent_time, user_agents=user_agents)
        response = await self._call(next(self._events).WriteEvents, request)
        return client_codec.decode_write_result(response)

    async def close(self) -> None:
        """Close every connection; calls under way are cancelled."""
        for channel in self._channels:
            await channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _call(self, method: Callable[..., Awaitable[Response]], request: object) -> Response:
        try:
            return await method(request, timeout=self._timeout)
        except grpc.RpcError as error:
            raise _error_of(error) from None


class RecsysClient:
    """The same client without asyncio; one may be used by many threads.

    Its arguments, methods and errors are those of `Client`.
    """

    def __init__(
        self,
        address: str,
        *,
        channels: int = DEFAULT_CHANNELS,
        timeout_ms: float = DEFAULT_TIMEOUT_MS,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        self._timeout = timeout_ms / 1_000
        self._channels = [
            grpc.insecure_channel(address, options=CHANNEL_OPTIONS)
            if credentials is None
            else grpc.secure_channel(address, credentials, options=CHANNEL_OPTIONS)
            for _ in range(channels)
        ]
        # The generated stubs serve both kinds of channel and are typed for asyncio alone.
        channels_of_any_kind: list[Any] = list(self._channels)
        self._recommendations: cycle[Any] = cycle(
            [pb_grpc.RecommendationServiceStub(channel) for channel in channels_of_any_kind]
        )
        self._events: cycle[Any] = cycle(
            [event_grpc.EventServiceStub(channel) for channel in channels_of_any_kind]
        )

    def recommend(self, placement: str, **asked: Unpack[Asked]) -> Recommendation:
        """Return the items of one placement for whoever asks, best first."""
        request = client_codec.encode_query(placement, **asked)
        response = self._call(next(self._recommendations).Recommend, request)
        return client_codec.decode_recommendation(response)

    def write_events(
        self,
        events: Sequence[Event],
        sent_time: datetime | None = None,
        *,
        user_agents: Sequence[str] = (),
    ) -> WriteResult:
        """Record at most 1,000 events durably, and return what became of them.

        sent_time: what the clock behind the events' times shows now; where that is wrong, the
        times are corrected by the difference to the server's.
        user_agents: the User-Agent behind each event, in their order, empty where none is known;
        the server tells robots by it and does not keep it.
        """
        request = client_codec.encode_events(events, sent_time, user_agents=user_agents)
        response = self._call(next(self._events).WriteEvents, request)
        return client_codec.decode_write_result(response)

    def close(self) -> None:
        """Close every connection; calls under way are cancelled."""
        for channel in self._channels:
            channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _call(self, method: Callable[..., Response], request: object) -> Response:
        try:
            return method(request, timeout=self._timeout)
        except grpc.RpcError as error:
            raise _error_of(error) from None


def _error_of(error: Any) -> RecsysError:
    """Return the error behind a failed call, of either kind of channel."""
    trailing = dict(error.trailing_metadata() or ())
    return error_of(error.code(), error.details() or "", trailing.get(DETAILS_KEY, b""))
