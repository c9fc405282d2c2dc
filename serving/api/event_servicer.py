"""The gRPC service of events."""

from __future__ import annotations

from collections.abc import Awaitable

from grpc.aio import ServicerContext

from protos.recsys.v1 import event_service_pb2 as pb
from protos.recsys.v1 import event_service_pb2_grpc as pb_grpc
from serving.api import event_codec
from serving.clock import Clock
from serving.ingest import EventSink


class EventServicer(pb_grpc.EventServiceServicer):
    """Speaks `recsys.v1.EventService`; decides nothing itself."""

    def __init__(self, sink: EventSink, clock: Clock) -> None:
        self._sink = sink
        self._clock = clock

    async def WriteEvents(
        self,
        request: pb.WriteEventsRequest,
        context: ServicerContext[pb.WriteEventsRequest, Awaitable[pb.WriteEventsResponse]],
    ) -> pb.WriteEventsResponse:
        """Record the valid events durably and say of each other one why it does not count."""
        decoded = event_codec.decode_events(request, now=self._clock())
        result = await self._sink.write(decoded.valid, decoded.rejected)
        return event_codec.encode_write_result(result)
