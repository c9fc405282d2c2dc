from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import faiss
import pytest

from benchmarks import retrieval


@pytest.fixture(autouse=True)
def same_process_afterwards() -> Iterator[None]:
    """Give the test's process back its cores and threads."""
    cores, threads = os.sched_getaffinity(0), faiss.omp_get_max_threads()
    yield
    os.sched_setaffinity(0, cores)
    faiss.omp_set_num_threads(threads)


def test_tiny_retrieval_run_gives_speed_with_recall_for_every_index_and_mask(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "retrieval.json"
    sizes = ["--items", "6000", "--questions", "8", "--repeats", "1", "--only-drawn"]

    retrieval.main([*sizes, "--json", str(path)])

    metrics = json.loads(path.read_text())["metrics"]
    for index in ("raw_flat", "exact", "flat"):
        for situation in ("", "_mask50", "_mask10", "_mask1", "_excluded"):
            assert metrics[f"drawn_{index}{situation}_recall"] == 1.0
            assert metrics[f"drawn_{index}{situation}_batch_qps"] > 0
    assert metrics["drawn_hnsw_recall"] > 0.5
    assert metrics["drawn_hnsw_single_ratio_to_flat"] > 0
    assert metrics["drawn_chosen_recall"] >= metrics["drawn_hnsw_mask1_recall"]
    assert "drawn: 6,000 x 64" in capsys.readouterr().out
