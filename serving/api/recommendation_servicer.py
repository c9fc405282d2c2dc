"""The gRPC service of recommendations."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Protocol

from grpc.aio import ServicerContext

from protos.recsys.v1 import recommendation_service_pb2 as pb
from protos.recsys.v1 import recommendation_service_pb2_grpc as pb_grpc
from recsys.query import Page, Recommendation
from serving.api import codec
from serving.clock import Clock


class Recommends(Protocol):
    """Whatever fills pages."""

    async def recommend_page(self, page: Page) -> Sequence[Recommendation]:
        """Return the lists of a page. Raises NotFound, NotReady, Unavailable, InvalidInput."""
        ...


class RecommendationServicer(pb_grpc.RecommendationServiceServicer):
    """Speaks `recsys.v1.RecommendationService`; decides nothing itself."""

    def __init__(self, recommender: Recommends, clock: Clock) -> None:
        self._recommender = recommender
        self._clock = clock

    async def Recommend(
        self,
        request: pb.RecommendRequest,
        context: ServicerContext[pb.RecommendRequest, Awaitable[pb.RecommendResponse]],
    ) -> pb.RecommendResponse:
        """Rank the items of one placement for one user.

        Errors are raised, never returned: the interceptor gives each RecsysError its
        status, so this method reads as the path where all goes well.
        """
        query = codec.decode_query(request, now=self._clock())
        (recommendation,) = await self._recommender.recommend_page(Page((query,)))
        return codec.encode_recommendation(recommendation)

    async def RecommendPage(
        self,
        request: pb.RecommendPageRequest,
        context: ServicerContext[pb.RecommendPageRequest, Awaitable[pb.RecommendPageResponse]],
    ) -> pb.RecommendPageResponse:
        """Fill the slots of a page, none of which repeats an item of another."""
        page = codec.decode_page(request, now=self._clock())
        return codec.encode_page(request, await self._recommender.recommend_page(page))
