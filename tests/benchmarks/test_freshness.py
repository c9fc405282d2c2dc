from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import faiss
import grpc
import pytest

from benchmarks import freshness
from benchmarks.connections import channel_to_each

LAG = """
# TYPE event_to_recommendation_lag_seconds histogram
event_to_recommendation_lag_seconds_sum 1.5
event_to_recommendation_lag_seconds_bucket{le="0.001"} 980.0
event_to_recommendation_lag_seconds_bucket{le="0.01"} 990.0
event_to_recommendation_lag_seconds_bucket{le="+Inf"} 1000.0
event_to_recommendation_lag_seconds_count 1000.0
"""


def test_lag_of_the_server_is_read_from_its_histogram() -> None:
    lag = freshness._lag(LAG)

    assert lag == {"count": 1_000, "mean_ms": pytest.approx(1.5), "p99_below_ms": 10.0}


async def test_every_process_that_listens_is_reached_by_a_channel_of_its_own() -> None:
    async def here(request: bytes, context: object) -> bytes:
        return b"here"

    server = grpc.aio.server()
    handler: Any = grpc.unary_unary_rpc_method_handler(here)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("tests.Name", {"Name": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()

    channels = await channel_to_each(f"127.0.0.1:{port}", [os.getpid()])

    call: Any = channels[os.getpid()].unary_unary("/tests.Name/Name")
    answer = await asyncio.wait_for(call(b""), 10)
    await channels[os.getpid()].close()
    await server.stop(None)
    assert answer == b"here"


def test_tiny_run_sees_every_event_through_the_other_worker(tmp_path: Path) -> None:
    path = tmp_path / "freshness.json"
    sizes = ["--items", "2000", "--customers", "20", "--seconds", "1", "--repeats", "1"]
    sizes += ["--catalog-repeats", "1", "--changes", "200"]
    threads = faiss.omp_get_max_threads()

    freshness.main([*sizes, "--rate", "20", "--json", str(path)])

    faiss.omp_set_num_threads(threads)
    metrics = json.loads(path.read_text())["metrics"]
    assert metrics["probes"] > 0
    assert (metrics["never_reflected"], metrics["probe_errors"]) == (0, 0)
    assert metrics["first_answer_obeys_share"] == 1
    assert metrics["event_since_sent_p99_ms"] >= metrics["event_p99_ms"] > 0
    assert metrics["server_lag_count"] >= metrics["probes"]
    for kind in ("catalog", "catalog_back", "new_item"):
        assert metrics[f"{kind}_probes"] > 0
        assert metrics[f"{kind}_never"] == 0
        assert 0 < metrics[f"{kind}_p99_ms"] < 10_000
    assert metrics["new_item_last_p99_ms"] >= metrics["new_item_p99_ms"]
    assert metrics["catalog_probe_errors"] == 0
    assert metrics["catalog_changes_rate"] > 0
