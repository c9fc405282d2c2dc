"""A real server whose way to Redis breaks: answers go on, and say what they lack."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from recsys.events import EventType
from serving.client import RecsysClient
from serving.state.embedded import EmbeddedValkey
from tests import shop
from tests.e2e.running import DataFolder, Server, event, wait_until
from tests.faults.proxy import FaultProxy, Trouble, proxied

TROUBLES = (Trouble.DOWN, Trouble.RESET, Trouble.HUNG, Trouble.SLOW, Trouble.HALF)


@pytest.fixture
def proxy(own_valkey: EmbeddedValkey, short_folder: Path) -> Iterator[FaultProxy]:
    with proxied(own_valkey.socket, short_folder / "proxy.sock") as one:
        yield one


@pytest.fixture
def server(proxy: FaultProxy, short_folder: Path) -> Iterator[Server]:
    (short_folder / "data").mkdir()
    data = DataFolder(short_folder / "data").fill()
    data.publish(shop.bundle("v1"))
    data.promote("v1")
    started = Server.ready(
        data,
        RECSYS_REDIS_URL=proxy.address.url,
        RECSYS_READ_TIMEOUT_MS="300",
        RECSYS_WRITE_TIMEOUT_MS="300",
    )
    yield started
    started.end()


@pytest.mark.timeout(300)
def test_answers_say_that_redis_is_in_trouble_and_know_everything_after(
    server: Server, proxy: FaultProxy
) -> None:
    proxy.delay_s = 1.0
    with server.client() as client:
        for trouble in TROUBLES:
            assert in_trouble(client, proxy, trouble) == ("STATE_UNAVAILABLE", shop.ITEMS[:4], 1)
            wait_until(lambda: answered(client, "anybody")[0] == "", "a whole answer")


def in_trouble(
    client: RecsysClient, proxy: FaultProxy, trouble: Trouble
) -> tuple[str, tuple[str, ...], int]:
    """Return what a new customer is answered, and how many events are taken, in a trouble.

    Returns once the trouble is over and the event counts.
    """
    user, proxy.trouble = f"user-{trouble}", trouble
    wait_until(lambda: answered(client, "anybody")[0], "a degraded answer")
    degraded, items = answered(client, user)
    accepted = client.write_events([event(EventType.PURCHASE, "coffee", user)]).accepted
    proxy.trouble = Trouble.NONE
    wait_until(lambda: answered(client, user)[1][0] == "milk", "the event counts")
    return degraded, items, accepted


def answered(client: RecsysClient, user_id: str) -> tuple[str, tuple[str, ...]]:
    """Return why an answer is degraded, and its items."""
    answer = client.recommend("home", user_id=user_id)
    return answer.degraded, answer.item_ids
