from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from serving.metrics import (
    HELP,
    AnswerMetrics,
    CallMetrics,
    EventMetrics,
    FollowMetrics,
    Registry,
    ReleaseMetrics,
    StateMetrics,
    UpkeepMetrics,
    totals,
)
from serving.metrics_endpoint import (
    FOLDER_VARIABLE,
    ProcessCollector,
    WorkersCollector,
    folder_of_metrics,
    served_metrics,
)

WORKER = """
import sys
from serving.metrics import CallMetrics, EventMetrics, Registry

registry = Registry()
events, calls = EventMetrics.of(registry), CallMetrics(registry)
events.accepted.inc(int(sys.argv[1]))
events.queue_lines.set(int(sys.argv[1]))
events.lag_seconds.observe(0.003)
calls.ended("/shop.Service/Ask", "OK", 0.004)
print("counted", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with folder_of_metrics(tmp_path) as folder:
        yield folder


@pytest.fixture
def registry(folder: Path) -> Registry:
    registry = Registry()
    registry.register(WorkersCollector(folder))
    return registry


def worker(folder: Path, number: int) -> subprocess.Popen[str]:
    """Return a process that has counted, and lives until its standard input closes."""
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(number)],
        env={**os.environ, FOLDER_VARIABLE: str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "counted\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def samples(text: str) -> dict[str, float]:
    """Return every sample of an exposition, by name and labels."""
    return {
        f"{one.name}{sorted(one.labels.values())}" if one.labels else one.name: one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def test_workers_add_up_and_the_dead_still_count(folder: Path, registry: Registry) -> None:
    living, dead = worker(folder, 3), worker(folder, 4)
    end(dead)

    found = samples(generate_latest(registry).decode())
    end(living)

    assert found["recsys_events_total['accepted']"] == 7
    assert found["event_to_recommendation_lag_seconds_count"] == 2
    assert found["recsys_grpc_requests_total['/shop.Service/Ask', 'OK']"] == 2
    assert found["recsys_log_queue_lines"] == 3  # who is dead has no queue


def test_process_without_a_folder_counts_for_itself() -> None:
    environment = {name: text for name, text in os.environ.items() if name != FOLDER_VARIABLE}

    done = subprocess.run(
        [sys.executable, "-c", WORKER, "1"],
        env=environment,
        input="",
        capture_output=True,
        text=True,
    )

    assert done.stdout == "counted\n"


def test_port_that_is_taken_is_said_and_another_one_used() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, capture_logs() as lines:
        taken = other.getsockname()[1]

        with served_metrics(Registry(), "127.0.0.1", taken) as address:
            answered = urlopen(address).status

    assert answered == 200
    assert f":{taken}/" not in address
    assert [(line["log_level"], line["port"]) for line in lines] == [("warning", taken)]


def test_metrics_are_read_over_http_until_the_block_ends() -> None:
    registry = Registry()
    AnswerMetrics.of(registry).degraded.inc(2)

    with served_metrics(registry, "127.0.0.1", 0) as address:
        found = samples(urlopen(address).read().decode())

    assert found["recsys_recommendations_degraded_total"] == 2
    with pytest.raises(OSError, match="refused"):
        urlopen(address)


def test_folder_is_empty_at_the_start_and_gone_at_the_end(tmp_path: Path) -> None:
    with folder_of_metrics(tmp_path) as killed:
        (killed / "counter_1.db").write_bytes(b"left over")
        with folder_of_metrics(tmp_path) as folder:
            found = list(folder.iterdir())
            left_over = killed.exists()

    assert (found, left_over, folder.exists()) == ([], False, False)


def test_other_data_folder_keeps_its_metrics(tmp_path: Path) -> None:
    with folder_of_metrics(tmp_path / "a") as mine, folder_of_metrics(tmp_path / "b"):
        assert mine.exists()


def test_processes_are_told_by_role_and_those_that_ended_are_left_out() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    registry = Registry()
    registry.register(ProcessCollector(lambda: {"me": os.getpid(), "gone": gone.pid}))

    found = samples(generate_latest(registry).decode())

    assert {name for name in found if "gone" in name} == set()
    assert found["recsys_process_cpu_seconds_total['me']"] > 0
    assert found["recsys_process_resident_memory_bytes['me']"] > 1_000_000


def test_totals_are_what_has_happened_under_short_names() -> None:
    registry = Registry()
    CallMetrics(registry).ended("/recsys.v1.EventService/WriteEvents", "OK", 0.1)
    ReleaseMetrics.of(registry).loaded.inc()

    assert totals(registry) == {"grpc_requests_WriteEvents_OK": 1, "releases_loaded": 1}


def test_every_metric_is_explained_to_those_who_run_the_server() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()

    assert [name for name in HELP if f"`{name}" not in page] == []


def test_every_metric_of_a_process_has_its_help() -> None:
    registry = Registry()
    groups = (
        EventMetrics,
        AnswerMetrics,
        ReleaseMetrics,
        FollowMetrics,
        StateMetrics,
        UpkeepMetrics,
    )
    for group in groups:
        group.of(registry)
    CallMetrics(registry)

    made = {one.name + ("_total" if one.type == "counter" else "") for one in registry.collect()}

    assert made == {name for name in HELP if "_process_" not in name}
