"""Half a recommender, for tests that ask for lists alone."""

from __future__ import annotations

from recsys.ids import ItemId
from recsys.pipeline.groupings import Grouping, RecommendedGroups
from recsys.query import Page, Query
from recsys.why.explanation import Explanation


class Unasked:
    """Is asked neither why nor whether a request is right."""

    def check(self, page: Page) -> str:
        raise AssertionError("nobody was to ask")

    def check_groups(self, query: Query, grouping: Grouping) -> str:
        raise AssertionError("nobody was to ask")

    async def recommend_groups(
        self, query: Query, grouping: Grouping, *, within_s: float | None = None
    ) -> RecommendedGroups:
        raise AssertionError("nobody was to ask")

    async def explain(self, page: Page, item_id: ItemId) -> Explanation:
        raise AssertionError("nobody was to ask")
