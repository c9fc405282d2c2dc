from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence

import grpc
import pytest
from typer.testing import CliRunner, Result

from protos.recsys.v1 import recommendation_service_pb2_grpc as pb_grpc
from recsys.events import Channel
from recsys.ids import ItemId
from recsys.pipeline.groupings import Grouping, RecommendedGroups, grouped
from recsys.query import (
    ItemField,
    Page,
    PageType,
    Query,
    Reason,
    ReasonCode,
    Recommendation,
    RecommendedItem,
    Selection,
    Tier,
)
from serving.api.recommendation_servicer import RecommendationServicer
from serving.cli import app
from serving.clock import utc_now
from tests.serving.unasked import Unasked

WHY = Reason(ReasonCode.MATCHES_SEARCH, "Matches.")
FIELDS = (ItemField("brand", "Acme"), ItemField("price", 2.5), ItemField("tags", ("a", "b")))


class Counter(Unasked):
    """Answers every list with tea of Acme, and keeps the questions."""

    def __init__(self) -> None:
        self.queries: list[Query] = []

    async def recommend_page(
        self, page: Page, *, within_s: float | None = None
    ) -> Sequence[Recommendation]:
        self.queries += page.queries
        item = RecommendedItem(ItemId("tea"), "Tea", 1, 1.0, "searched", WHY, FIELDS)
        about = (ItemId("milk"),)
        return [
            Recommendation((item,), query.placement, Tier.POPULAR, "v1", "t", about=about)
            for query in page.queries
        ]

    async def recommend_groups(
        self, query: Query, grouping: Grouping, *, within_s: float | None = None
    ) -> RecommendedGroups:
        self.grouping = grouping
        (answer,) = await self.recommend_page(Page((query,)))
        return grouped(answer, grouping, query)


@pytest.fixture
async def counter() -> AsyncIterator[tuple[Counter, str]]:
    one, server = Counter(), grpc.aio.server()
    servicer = RecommendationServicer(one, utc_now)
    pb_grpc.add_RecommendationServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield one, f"127.0.0.1:{port}"
    await server.stop(None)


async def told(address: str, *words: str) -> Result:
    words = ("recommend", *words, "--address", address)
    return await asyncio.to_thread(
        CliRunner(env={"COLUMNS": "160"}).invoke, app, list(words), catch_exceptions=False
    )


async def test_everything_that_a_request_may_say_can_be_given(counter: tuple[Counter, str]) -> None:
    asked, address = counter
    given = {
        "placement": "home", "user": "ann", "visitor": "v1", "session": "s1", "limit": "5",
        "market": "DE", "filter": "price < 9", "diversity": "0.25", "rotation-rate": "0.5",
        "min-relevance": "0.75", "search": "rye", "category": "Food > Bread",
        "page-type": "search", "channel": "app", "device": "phone", "language": "da",
        "seed": "s", "cart": "c", "exclude": "x", "candidate": "k", "fields": "price",
    }  # fmt: skip

    shown = await told(address, *(word for key, one in given.items() for word in (f"--{key}", one)))

    (query,) = asked.queries
    assert shown.exit_code == 0
    assert (query.placement, query.user_id, query.visitor_id) == ("home", "ann", "v1")
    assert (query.session_id, query.limit, query.market) == ("s1", 5, "DE")
    assert (query.filter, query.selection) == ("price < 9", Selection(0.25, 0.5, 0.75))
    assert (query.scene.search, query.scene.category) == ("rye", "Food > Bread")
    assert (query.scene.page_type, query.scene.channel) == (PageType.SEARCH, Channel.APP)
    assert (query.scene.device, query.language, query.seeds) == ("phone", "da", ("s",))
    assert (query.scene.cart, query.excluded, query.candidates) == (("c",), ("x",), ("k",))
    assert query.item_fields == ("price",)


async def test_an_answer_shows_fields_and_what_it_is_about(counter: tuple[Counter, str]) -> None:
    shown = await told(counter[1], "--fields", "brand")

    cells = {word.strip() for word in re.split("[│┃\n]", shown.output)}
    assert {"brand", "price", "Acme", "2.5", "a, b", "Matches."} <= cells
    assert "about milk" in shown.output


async def test_a_page_asks_for_all_its_lists_at_once(counter: tuple[Counter, str]) -> None:
    asked, address = counter

    shown = await told(address, "--page", "cart", "--page", "home", "--limit", "3", "--user", "ann")

    assert [(one.placement, one.limit) for one in asked.queries] == [("cart", 3), ("home", 3)]
    assert {one.user_id for one in asked.queries} == {"ann"}
    assert shown.output.index("cart (popular)") < shown.output.index("home (popular)")


async def test_a_page_as_json_is_a_list_of_answers(counter: tuple[Counter, str]) -> None:
    shown = await told(counter[1], "--page", "cart", "--page", "home", "--json")

    assert [one["placement"] for one in json.loads(shown.output)] == ["cart", "home"]


async def test_groups_are_shown_one_by_one_with_their_scores(counter: tuple[Counter, str]) -> None:
    asked, address = counter
    words = ("--group-by", "brand", "--limit", "4", "--items-per-group", "2")

    shown = await told(address, *words)

    assert asked.grouping == Grouping("brand", 0, 4, 2)
    assert "Acme (1.000)" in shown.output
    assert "Tea" in shown.output
