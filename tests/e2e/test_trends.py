"""A wave of events makes an item trend in its market, without a training, in every worker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from recsys.events import Event, EventType
from recsys.ids import ItemId
from recsys.query import ReasonCode, Tier
from serving.client import RecsysClient
from serving.clock import utc_now
from tests import shop
from tests.e2e.running import DataFolder, Server, wait_until

TRENDING = """
[placements.trending]
size = 4
filters = [{ kind = "available" }, { kind = "not_hidden" }]
filter = "context.category is unknown or category under context.category"
sources = [{ kind = "trending", k = 10 }]
"""
OFTEN = {"RECSYS_TRENDS_INTERVAL_S": "0.1"}
CHANNELS = 4


@pytest.fixture
def server(data: DataFolder) -> Iterator[Server]:
    """Give a server of two workers with a placement of what is trending."""
    (data.path / "placements.toml").write_text(shop.PLACEMENTS + TRENDING)
    data.publish(shop.bundle("v1"))
    data.promote("v1")
    server = Server.ready(data, **OFTEN)
    yield server
    server.end()


def bought(items: Sequence[str], n: int, market: str, *, time: datetime) -> list[Event]:
    """Return purchases in a market by so many users, of the items in turn."""
    return [
        Event(
            uuid4().hex,
            EventType.PURCHASE,
            time,
            ItemId(items[number % len(items)]),
            user_id=uuid4().hex,
            market=market,
        )
        for number in range(n)
    ]


def usual() -> list[Event]:
    """Return what two markets bought the day before: enough to tell them apart."""
    before = utc_now() - timedelta(hours=20)
    german = bought(("bread", "butter", "jam", "milk"), 120, "DE", time=before)
    return german + bought(("soap", "sponge", "sugar"), 120, "FR", time=before)


def trending(server: Server, market: str) -> set[tuple[str, ...]]:
    """Return what every worker has for a stranger."""
    found: set[tuple[str, ...]] = set()
    for _ in range(CHANNELS):
        with server.client() as client:
            found.add(client.recommend("trending", market=market).item_ids)
    return found


def test_item_that_many_buy_trends_in_its_market_and_in_no_other(server: Server) -> None:
    with server.client() as client:
        client.write_events(usual())
        client.write_events(bought(("tea",), 12, "DE", time=utc_now()))

        wait_until(lambda: trending(server, "DE") == {("tea",)}, "tea trends in DE")
        there = client.recommend("trending", market="DE")
        elsewhere = client.recommend("trending", market="FR")
        of_drinks, of_soaps = (
            client.recommend("trending", market="DE", category=category)
            for category in ("Drinks", "Cleaning")
        )

    assert there.items[0].reason.code is ReasonCode.TRENDING
    assert (there.tier, elsewhere.item_ids) == (Tier.SEGMENT, ())
    assert (of_drinks.item_ids, of_soaps.item_ids) == (("tea",), ())


def test_stranger_gets_what_their_market_buys_and_the_answer_says_so(server: Server) -> None:
    with server.client() as client:
        client.write_events(usual())

        def first(market: str) -> str:
            return str(client.recommend("home", user_id="nobody", market=market).item_ids[0])

        wait_until(lambda: first("FR") in ("soap", "sponge", "sugar"), "FR has its own list")
        french, anywhere = (
            client.recommend("home", user_id="nobody", market=market) for market in ("FR", "")
        )

    assert set(french.item_ids[:3]) == {"soap", "sponge", "sugar"}
    assert (french.tier, anywhere.tier) == (Tier.SEGMENT, Tier.POPULAR)
    assert anywhere.item_ids[0] == "bread"


def test_supervisor_that_was_killed_counts_on_with_nothing_lost_or_counted_twice(
    server: Server,
) -> None:
    events = usual()
    with server.client() as client:
        client.write_events(events)
        wait_until(lambda: _counted(server.data.path) > 0, "something is counted")
        events += _sent(client, "DE")

        server.process.kill()

    server.process.wait()
    killed_at = utc_now()
    again = Server.ready(server.data, **OFTEN)
    try:
        with again.client() as client:
            events += _sent(client, "FR")
            expected = _expected(events)
            wait_until(lambda: _written(server.data.path) > killed_at.timestamp(), "counted anew")
            wait_until(
                lambda: _counted(server.data.path) == pytest.approx(expected, rel=1e-3),
                "all is counted once",
            )
        assert _counted(server.data.path) == pytest.approx(_expected(events), rel=1e-3)
    finally:
        again.end()


def _sent(client: RecsysClient, market: str) -> list[Event]:
    """Send purchases, all twice, and return them."""
    events = bought(("tea", "coffee"), 30, market, time=utc_now())
    client.write_events(events)
    client.write_events(events)
    return events


def _expected(events: Sequence[Event]) -> float:
    """Return what events of users who bought one thing each come to, in the usual sums of now."""
    hour = utc_now().timestamp() / 3_600
    hours = [int(event.time.timestamp()) // 3_600 for event in events]
    return float(sum(5 * 0.5 ** ((hour - one) / 168) for one in hours))


def _counted(folder: Path) -> float:
    """Return the sum of all usual sums in the file, 0 where there is none."""
    file = folder / "trends.npz"
    if not file.exists():
        return 0.0
    with np.load(file) as found:
        return float(found["usual"].astype(np.float64).sum())


def _written(folder: Path) -> float:
    with np.load(folder / "trends.npz") as found:
        return float(found["at"])
