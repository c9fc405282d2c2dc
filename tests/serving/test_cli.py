from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import grpc
import pytest
from typer.testing import CliRunner, Result

from protos.recsys.v1 import event_service_pb2_grpc as event_grpc
from protos.recsys.v1 import recommendation_service_pb2_grpc as pb_grpc
from recsys.errors import InvalidInput, Unavailable
from recsys.events import Channel, Event, EventType
from recsys.ids import ItemId
from recsys.query import Page, Query, Reason, ReasonCode, Recommendation, RecommendedItem, Tier
from serving.api.event_servicer import EventServicer
from serving.api.recommendation_servicer import RecommendationServicer
from serving.cli import app
from serving.clock import utc_now
from serving.ingest import RejectedEvent, WriteResult
from serving.port import held_port
from tests.serving.unasked import Unasked

BOUGHT = Reason(ReasonCode.POPULAR, "Many \x1bbuy it.")
COMMANDS = ("serve", "recommend", "explain", "event", "picks")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_shows_how_to_call_it(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"])

    assert shown.exit_code == 0
    assert f"Example: recsys {command}" in shown.output


@pytest.mark.parametrize(
    "words",
    [["recommend", "--user", "42"], ["event", "--user", "42", "--type", "hide", "--item", "bread"]],
)
def test_without_a_server_the_next_step_is_said(words: list[str]) -> None:
    with held_port("127.0.0.1", 0) as port:
        called = CliRunner().invoke(app, [*words, "--address", f"127.0.0.1:{port}"])

    assert isinstance(called.exception, Unavailable)
    assert called.exception.reason == "NO_SERVER"
    assert "recsys serve" in str(called.exception)
    assert f"127.0.0.1:{port}" in str(called.exception)


def test_event_of_nobody_is_refused_before_anything_is_sent() -> None:
    called = CliRunner().invoke(app, ["event", "--type", "hide", "--item", "bread"])

    assert isinstance(called.exception, InvalidInput)
    assert called.exception.field == "user_id"


def test_server_that_others_could_reach_is_not_started() -> None:
    called = CliRunner().invoke(app, ["serve", "--host", "0.0.0.0"])

    assert isinstance(called.exception, InvalidInput)
    assert "no access control" in str(called.exception)


class Kiosk(Unasked):
    """A server that has bread, as one of its writers named it, and keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def recommend_page(
        self, page: Page, *, within_s: float | None = None
    ) -> Sequence[Recommendation]:
        return [await self.recommend(query) for query in page.queries]

    async def recommend(self, query: Query) -> Recommendation:
        title = "\x1b[31m[red]Bread[/red]\nand tea"
        item = RecommendedItem(ItemId("b\x07"), title, 1, 1.0, "popular", BOUGHT)
        missing = (ItemId("m\x1b"),)
        return Recommendation((item,), "home", Tier.POPULAR, "v1", "t", missing_ids=missing)

    async def write(self, valid: Sequence[Event], rejected: Sequence[RejectedEvent]) -> WriteResult:
        self.events.extend(valid)
        return WriteResult(len(valid), 0, len(self.events), tuple(rejected))


@pytest.fixture
async def kiosk() -> AsyncIterator[tuple[Kiosk, str]]:
    one, server = Kiosk(), grpc.aio.server()
    pb_grpc.add_RecommendationServiceServicer_to_server(
        RecommendationServicer(one, utc_now), server
    )
    event_grpc.add_EventServiceServicer_to_server(EventServicer(one, utc_now), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield one, f"127.0.0.1:{port}"
    await server.stop(None)


async def told(address: str, *words: str) -> Result:
    words = (*words, "--address", address)
    env = {"COLUMNS": "120"}
    return await asyncio.to_thread(CliRunner(env=env).invoke, app, list(words))


async def test_event_without_an_item_needs_none_and_says_all_it_may(
    kiosk: tuple[Kiosk, str],
) -> None:
    shop, address = kiosk
    words = ("event", "--visitor", "v1", "--type", "search", "--query", "rye bread")
    more = ("--channel", "web", "--outlet", "store 12", "--user-agent", "Googlebot/2.1")

    shown = await told(address, *words, *more)

    (one,) = shop.events
    assert shown.output == "recorded: search, up to position 1 of the log\n"
    assert (one.type, one.item_id, one.query) == (EventType.SEARCH, "", "rye bread")
    assert (one.channel, one.outlet, one.robot) == (Channel.WEB, "store 12", True)


async def test_every_field_of_an_event_can_be_given(kiosk: tuple[Kiosk, str]) -> None:
    shop, address = kiosk
    given = {
        "item": "tea", "user": "ann", "visitor": "v1", "session": "s1", "quantity": "2",
        "price": "1.5", "currency": "EUR", "order-id": "o1", "channel": "store", "outlet": "12",
        "rating": "4", "query": "q", "category": "c", "campaign-id": "m", "token": "t",
        "event-id": "e1", "market": "DE",
    }  # fmt: skip
    words = [word for name, value in given.items() for word in (f"--{name}", value)]

    await told(address, "event", "--type", "rating", *words)

    (one,) = shop.events
    assert one == Event(
        "e1", EventType.RATING, one.time, ItemId("tea"), "ann", "v1", "s1", 2.0, 1.5, "EUR", "o1",
        Channel.STORE, "12", "t", 4.0, "q", "c", "m",
        market="DE",
    )  # fmt: skip


async def test_event_that_needs_an_item_is_refused_without_one(kiosk: tuple[Kiosk, str]) -> None:
    shown = await told(kiosk[1], "event", "--user", "ann", "--type", "like")

    assert isinstance(shown.exception, InvalidInput)
    assert shown.exception.field == "item_id"


@pytest.mark.parametrize("form", [[], ["--json"]])
async def test_answer_shows_what_a_terminal_would_obey_as_it_is_written(
    kiosk: tuple[Kiosk, str], form: list[str]
) -> None:
    shown = await told(kiosk[1], "recommend", *form)

    assert "[red]Bread[/red]" in shown.output
    assert not set(shown.output) & {"\x1b", "\x07"}
    assert "\\x1b" in shown.output or "\\u001b" in shown.output
