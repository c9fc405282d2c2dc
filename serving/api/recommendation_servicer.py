"""The gRPC service of recommendations."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Protocol

from grpc.aio import ServicerContext

from protos.recsys.v1 import recommendation_service_pb2 as pb
from protos.recsys.v1 import recommendation_service_pb2_grpc as pb_grpc
from recsys.ids import ItemId
from recsys.pipeline.groupings import Grouping, RecommendedGroups
from recsys.query import Page, Query, Recommendation
from recsys.why.explanation import Explanation
from serving.api import codec, explain_codec, groups_codec
from serving.clock import Clock


class Recommends(Protocol):
    """Whatever fills pages."""

    async def recommend_page(
        self, page: Page, *, within_s: float | None = None
    ) -> Sequence[Recommendation]:
        """Return the lists of a page, in time for a caller who waits so many seconds more.

        Raises NotFound, NotReady, Unavailable, InvalidInput.
        """
        ...

    def check(self, page: Page) -> str:
        """Return the bundle that would answer. Raises NotFound, NotReady, InvalidInput."""
        ...

    async def recommend_groups(
        self, query: Query, grouping: Grouping, *, within_s: float | None = None
    ) -> RecommendedGroups:
        """Return the groups that suit an asker best, in time as above. Raises as above."""
        ...

    def check_groups(self, query: Query, grouping: Grouping) -> str:
        """Return the bundle that would answer. Raises as above."""
        ...

    async def explain(self, page: Page, item_id: ItemId) -> Explanation:
        """Return why an item is, or is not, in the list of a page of one. Raises as above."""
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
        page = Page((codec.decode_query(request, now=self._clock()),))
        if request.validate_only:
            return codec.encode_checked(page, self._recommender.check(page))
        (recommendation,) = await self._recommender.recommend_page(
            page, within_s=context.time_remaining()
        )
        return codec.encode_recommendation(recommendation)

    async def RecommendPage(
        self,
        request: pb.RecommendPageRequest,
        context: ServicerContext[pb.RecommendPageRequest, Awaitable[pb.RecommendPageResponse]],
    ) -> pb.RecommendPageResponse:
        """Fill the slots of a page, none of which repeats an item of another."""
        page = codec.decode_page(request, now=self._clock())
        if request.validate_only:
            return codec.encode_checked_page(request, self._recommender.check(page))
        lists = await self._recommender.recommend_page(page, within_s=context.time_remaining())
        return codec.encode_page(request, lists)

    async def RecommendGroups(
        self,
        request: pb.RecommendGroupsRequest,
        context: ServicerContext[pb.RecommendGroupsRequest, Awaitable[pb.RecommendGroupsResponse]],
    ) -> pb.RecommendGroupsResponse:
        """Put the list of one placement into groups, those first that suit the asker best."""
        query, grouping = groups_codec.decode_groups_question(request, now=self._clock())
        if request.validate_only:
            version = self._recommender.check_groups(query, grouping)
            return groups_codec.encode_checked_groups(query, version)
        groups = await self._recommender.recommend_groups(
            query, grouping, within_s=context.time_remaining()
        )
        return groups_codec.encode_groups(groups)

    async def Explain(
        self,
        request: pb.ExplainRequest,
        context: ServicerContext[pb.ExplainRequest, Awaitable[pb.ExplainResponse]],
    ) -> pb.ExplainResponse:
        """Say why an item is in the list that `Recommend` would give, or why it is not."""
        page, item_id = explain_codec.decode_question(request, now=self._clock())
        return explain_codec.encode_explanation(await self._recommender.explain(page, item_id))
