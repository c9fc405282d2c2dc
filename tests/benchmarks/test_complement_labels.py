from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import complement_labels
from benchmarks.complement_labels import LabelledShop, best_of, measured, precision
from recsys.models.neighbors import NeighborModel
from recsys.timelines import Ragged

START = np.datetime64("2013-01-01T00:00:00", "ms")


def lists(*rows: list[int]) -> Ragged:
    return Ragged.of([np.array(one, dtype=np.int32) for one in rows])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a set of twelve groups of five items that are bought together, whose ids begin at 10.

    The first of a group has the others for complements, and of the next group for substitutes.
    """
    rng = np.random.default_rng(4)
    ids = np.arange(10, 70, dtype=np.int32)
    group = (ids - 10) // 5
    users = np.repeat(np.arange(400, dtype=np.int32), 3)
    groups = np.repeat(rng.integers(0, 12, 400), 3)
    bought = 10 + 5 * groups + np.concatenate([rng.permutation(5)[:3] for _ in range(400)])
    days = np.repeat(np.sort(rng.integers(0, 500, 400)), 3).astype("timedelta64[D]")
    reviews = {
        "user_id": users,
        "item_id": bought.astype(np.int32),
        "timestamp": pa.array(START + days, pa.timestamp("ms", "UTC")),
    }
    first = (ids - 10) % 5 == 0
    items = {
        "item_id": ids,
        "complement_item_ids": [
            [*range(int(one) + 1, int(one) + 5), 99] if is_first else None
            for one, is_first in zip(ids, first, strict=True)
        ],
        "substitute_item_ids": [
            (ids[group == (own + 1) % 12]).tolist() if is_first else None
            for own, is_first in zip(group, first, strict=True)
        ],
    }
    pq.write_table(pa.table(reviews), tmp_path / "interactions.parquet")
    pq.write_table(pa.table(items), tmp_path / "items.parquet")
    return tmp_path


def test_precision_counts_the_right_of_ten_places_of_the_items_asked_about() -> None:
    found = lists([1, 2, 3], [0], [0, 1])
    labels = lists([2, 3, 9], [], [1])

    share = precision(found, labels, np.array([0, 2], dtype=np.int32))

    assert share == pytest.approx((2 + 1) / 20)


def test_the_best_of_a_model_are_its_nearest_in_order() -> None:
    model = NeighborModel(
        np.array([0, 3, 4], dtype=np.int64),
        np.array([5, 6, 7, 0], dtype=np.int32),
        np.array([0.1, 0.3, 0.2, 0.9], dtype=np.float32),
    )

    best = best_of(model, 2)

    assert [best.at(0).tolist(), best.at(1).tolist()] == [[6, 7], [0]]


def test_items_bought_together_are_the_complements_of_a_drawn_set(folder: Path) -> None:
    found = measured(LabelledShop.read(folder))

    assert found.n_items == 12
    assert found.complement_precision_at_10 == pytest.approx(0.4)
    assert found.cosine_precision_at_10 == pytest.approx(0.4)
    assert found.substitute_share_at_10 == 0
    assert found.popularity_precision_at_10 < 0.2


def test_the_report_names_what_was_measured_and_a_missing_folder_is_said(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = tmp_path / "told.json"

    complement_labels.main(["--data", str(folder), "--json", str(told)])
    complement_labels.main(["--data", str(folder / "gone")])

    metrics = json.loads(told.read_text())["metrics"]
    assert metrics["complement_precision_at_10"] == pytest.approx(0.4)
    assert "nothing is measured" in capsys.readouterr().out
