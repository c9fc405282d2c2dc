from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import state_memory
from benchmarks.state_memory import ACTIVE, SIZES, Filled, customers_of, documents_of, metrics_of
from recsys.state import FACETS
from serving.state.changes import states_of


@pytest.mark.parametrize("size", SIZES)
def test_customers_drawn_have_as_many_entries_of_each_facet_as_their_size_says(
    size: state_memory.Size,
) -> None:
    (entries,) = customers_of(size, 1, np.random.default_rng(1))

    (state,) = states_of(np.zeros(len(entries), dtype=np.int32), entries, 1)

    counts = [size.history, size.purchases, size.opinions, size.consents, size.shown, size.mailed]
    assert np.frombuffer(state, dtype=">u2", count=len(FACETS)).tolist() == counts


def test_documents_of_the_plain_design_hold_the_same_facts() -> None:
    (entries,) = customers_of(ACTIVE, 1, np.random.default_rng(1))

    documents = [json.loads(text) for text in documents_of(entries)]

    assert len(documents) == ACTIVE.history + ACTIVE.purchases
    assert {one["type"] for one in documents[ACTIVE.history :]} == {"purchase"}
    assert [one["time"] for one in documents] == entries["time"].tolist()


def test_metrics_count_every_key_without_expiry_and_compare_peers_with_the_active_customer() -> (
    None
):
    ours = {size: Filled(10, 10 * 100 * place, place) for place, size in enumerate(SIZES, start=1)}

    metrics = metrics_of(ours, {"json_list": Filled(2, 1_200, 0)})

    assert metrics["bytes_per_customer"] == 300
    assert metrics["keys_without_expiry"] == 1 + 2 + 3 + 4 + 5
    assert (metrics["json_list_bytes_per_customer"], metrics["json_list_ratio"]) == (600, 2)


def test_tiny_run_tells_every_size_in_bytes_and_gib(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "state_memory.json"

    state_memory.main(["--customers", "400", "--json", str(path)])

    metrics = json.loads(path.read_text())["metrics"]
    assert metrics["keys_without_expiry"] == 0
    assert 300 * 12 < metrics["bytes_per_customer"] < 5_000
    assert metrics["light_bytes_per_customer"] < metrics["typical_bytes_per_customer"]
    assert metrics["json_list_ratio"] > 2
    assert "heavy: 200 events + 100 purchases" in capsys.readouterr().out
