"""A server that is given the address of a Redis, which may not answer."""

from __future__ import annotations

from recsys.events import EventType
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
