"""A server that is given the address of a Redis, which may not answer."""

from __future__ import annotations

import os
import signal
import time

from recsys.events import EventType
from recsys.query import Tier
from serving.client import RecsysClient
from serving.state.embedded import EmbeddedValkey
from tests import shop
from tests.e2e.running import DataFolder, Server, event, wait_until


def test_server_starts_without_its_redis_and_catches_up_when_that_comes(data: DataFolder) -> None:
    data.publish(shop.bundle("v1"))
    data.promote("v1")
    elsewhere = data.path / "elsewhere"
    redis = EmbeddedValkey.start_or_adopt(elsewhere)
    redis.stop()
    server = Server.ready(data, RECSYS_REDIS_URL=redis.address.url)
    try:
        with server.client() as client:
            written = client.write_events([event(EventType.PURCHASE, "coffee", "anna")])
            answer = client.recommend("home", user_id="anna")

            EmbeddedValkey.start_or_adopt(elsewhere)

            wait_until(lambda: client.recommend("home", user_id="anna").item_ids[0] == "milk", "it")
        assert (written.accepted, answer.degraded) == (1, "STATE_UNAVAILABLE")
        assert server.stop() == 0
        assert not EmbeddedValkey.start_or_adopt(
            elsewhere
        ).started  # it is not the server's to stop
    finally:
        server.end()
        redis.stop()


def test_deadline_of_a_call_is_kept_while_redis_hangs_and_pages_go_on_after(
    data: DataFolder,
) -> None:
    data.publish(shop.bundle("v1"))
    data.promote("v1")
    server = Server.ready(data, RECSYS_READ_TIMEOUT_MS="60000")
    try:
        with RecsysClient(server.address, channels=4, timeout_ms=4_000) as client:
            client.recommend("home", user_id="anna")
            os.kill(server.valkey, signal.SIGSTOP)
            hurried = [client.recommend("home", user_id="anna") for _ in range(2)]
            os.kill(server.valkey, signal.SIGCONT)
            wait_until(lambda: not client.recommend("home", user_id="anna").degraded, "Redis")

            token = ""
            shown: list[str] = []
            for _ in range(3):  # through other workers, perhaps
                answer = client.recommend("home", user_id="anna", limit=3, continue_from=token)
                token, shown = answer.attribution_token, [*shown, *answer.item_ids]
                time.sleep(0.5)  # another worker finds the list once it has been stored

        assert {(one.degraded, one.tier) for one in hurried} == {("DEADLINE", Tier.POPULAR)}
        assert [one.item_ids for one in hurried] == [shop.ITEMS[:4]] * 2
        assert sorted(shown) == sorted(set(shop.ITEMS) - {shop.SOLD_OUT})
    finally:
        server.end()
