from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import faiss
import pytest

from benchmarks import serving_throughput
from benchmarks.processes import cores, driven, echo, load_on


@pytest.fixture(autouse=True)
def same_process_afterwards() -> Iterator[None]:
    """Give the test's process back its cores and threads."""
    mine, threads = os.sched_getaffinity(0), faiss.omp_get_max_threads()
    yield
    os.sched_setaffinity(0, mine)
    faiss.omp_set_num_threads(threads)


def test_open_loop_on_an_empty_server_counts_every_answer() -> None:
    server_core, others = cores()
    with echo(server_core, request_bytes=97, response_bytes=937) as server:
        plan = load_on(server, seconds=1.0, in_flight=1, rate=200.0, seed=7)

        window = driven(server, plan, clients=1, on_cores=others)

    assert window.answers > 0
    assert window.errors == 0
    assert len(window.latencies_ms) == window.answers
    assert sum(tally.response_bytes for tally in window.tallies) == 937 * window.answers


def test_tiny_serving_run_answers_everybody_and_says_where_the_time_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "serving.json"
    sizes = ["--items", "2000", "--customers", "20", "--seconds", "0.5", "--repeats", "1"]

    serving_throughput.main([*sizes, "--batches", "2", "--json", str(path)])

    report = json.loads(path.read_text())
    metrics = report["metrics"]
    assert report["sizes"]["items_an_answer"] == 20
    assert metrics["errors"] == 0
    assert metrics["rps_per_core"] > 0
    assert metrics["ratio_to_echo"] == pytest.approx(
        metrics["rps_per_core"] / metrics["echo_rps_per_core"], rel=1e-3
    )
    assert metrics["half_load_p99_ms"] >= metrics["half_load_p50_ms"] > 0
    assert "similar_to_history" in capsys.readouterr().out
