from __future__ import annotations

from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from recsys.events import EventType
from tests.e2e.running import Server, event, wait_until


def metrics(server: Server) -> dict[str, float]:
    """Return every sample that the server shows, by name and labels."""
    with urlopen(str(server.said("ready")[0]["metrics"])) as page:
        text = page.read().decode()
    return {
        f"{one.name}{sorted(one.labels.values())}" if one.labels else one.name: one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def test_one_page_tells_of_workers_and_supervisor(server: Server) -> None:
    with server.client(channels=8) as client:
        written = [
            client.write_events([event(EventType.CLICK, "bread", f"counted-{number}")])
            for number in range(8)
        ]
        client.recommend("home", user_id="counted-1")

    last = wait_until(
        lambda: metrics(server).get("recsys_log_position['applied']", 0) >= written[-1].position,
        "the supervisor to apply and to say so",
    )
    found = metrics(server)
    assert last
    assert found["recsys_events_total['accepted']"] == 8
    assert found["event_to_recommendation_lag_seconds_count"] == 8
    assert found["recsys_grpc_requests_total['/recsys.v1.EventService/WriteEvents', 'OK']"] == 8
    assert found["recsys_recommendations_total"] == 1
    assert {"supervisor", "worker-0", "worker-1", "valkey"} == {
        name.partition("'")[2].removesuffix("']")
        for name in found
        if name.startswith("recsys_process_cpu_seconds_total")
    }


def test_what_is_shown_names_no_customer_and_no_item(server: Server) -> None:
    with server.client() as client:
        client.write_events([event(EventType.CLICK, "bread", "nobody-may-know")])

    with urlopen(str(server.said("ready")[0]["metrics"])) as page:
        text = page.read().decode()

    assert "nobody-may-know" not in text
    assert "bread" not in text
