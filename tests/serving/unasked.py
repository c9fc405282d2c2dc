"""Half a recommender, for tests that ask for lists alone."""

from __future__ import annotations

from recsys.ids import ItemId
from recsys.query import Page
from recsys.why.explanation import Explanation


class Unasked:
    """Is asked neither why nor whether a request is right."""

    def check(self, page: Page) -> str:
        raise AssertionError("nobody was to ask")

    async def explain(self, page: Page, item_id: ItemId) -> Explanation:
        raise AssertionError("nobody was to ask")
