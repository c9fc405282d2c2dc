"""How a server starts without a release, and what is left when it is killed."""

from __future__ import annotations

import os
import signal

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from recsys.errors import NotReady
from recsys.events import EventType
from serving.app import EVENTS, RECOMMENDATIONS
from tests import shop
from tests.e2e.running import DataFolder, Server, alive, event, wait_until


def health_of(server: Server, service: str) -> str:
    with grpc.insecure_channel(server.address) as channel:
        request = health_pb2.HealthCheckRequest(service=service)
        answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=20)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def test_server_without_release_and_items_takes_events_and_serves_once_there_are_items(
    data: DataFolder,
) -> None:
    (data.path / "log" / "log.sqlite").rename(data.path / "as it was")
    server = Server.ready(data)
    try:
        with server.client() as client:
            written = client.write_events([event(EventType.PURCHASE, "coffee", "anna")])
            with pytest.raises(NotReady) as refused:
                client.recommend("home")
            before = health_of(server, ""), health_of(server, EVENTS)

            client.upsert_items(shop.items())
            wait_until(lambda: health_of(server, RECOMMENDATIONS) == "SERVING", "health")
            client.delete_items(shop.ITEMS)
            wait_until(lambda: health_of(server, "") == "NOT_SERVING", "health")

        assert before == ("NOT_SERVING", "SERVING")
        assert (written.accepted, refused.value.reason) == (1, "NO_RELEASE")
    finally:
        server.end()


def test_server_without_a_release_answers_from_its_catalog_until_there_is_one(
    data: DataFolder,
) -> None:
    server = Server.ready(data)
    try:
        with server.client() as client:
            health = health_of(server, "")
            bare = client.recommend("home", limit=20, filter='category = "Dairy"')
            data.publish(shop.bundle("v1"))
            data.promote("v1")
            wait_until(lambda: client.recommend("home").bundle_version == "v1", "the release")

        assert health == "SERVING"
        assert set(bare.item_ids) == {"butter", "milk"}
        assert (bare.degraded, bare.bundle_version) == ("NO_RELEASE", "")
        assert server.said("ready")[0]["release"] is None
    finally:
        server.end()


def test_killed_server_takes_its_workers_along_and_the_next_one_adopts_its_valkey(
    data: DataFolder,
) -> None:
    data.publish(shop.bundle("v1"))
    data.promote("v1")
    first = Server.ready(data)
    workers, valkey = first.workers, first.valkey
    with first.client() as client:
        client.write_events([event(EventType.PURCHASE, "coffee", "anna")])

    first.process.kill()
    wait_until(lambda: not any(alive(pid) for pid in workers), "the workers end")
    second = Server.ready(data)

    try:
        with second.client() as client:
            answer = client.recommend("home", user_id="anna")
        assert second.valkey == valkey
        assert second.said("embedded Valkey adopted")
        assert answer.item_ids[0] == "milk"
    finally:
        second.end()
        first.end()


def test_second_interrupt_kills_whatever_is_still_under_way(data: DataFolder) -> None:
    server = Server.ready(data)
    processes = [*server.workers, server.valkey]
    for pid in server.workers:
        os.kill(pid, signal.SIGSTOP)  # so that it does not end by itself

    server.process.send_signal(signal.SIGINT)
    wait_until(lambda: any("stopping" in str(line) for line in server.lines), "stopping")
    server.process.send_signal(signal.SIGINT)

    assert server.process.wait(60) == 137
    wait_until(lambda: not any(alive(pid) for pid in processes), "all are gone")
    server.end()
