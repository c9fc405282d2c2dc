from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks import cold_items
from benchmarks.described_shops import DescribedShop
from recsys.events import EVENT_CODES, EventType
from recsys.ids import ItemId
from recsys.interactions import Interactions
from recsys.items import Item

TEST = np.datetime64("2026-03-01T00:00:00", "s")


def drawn_shop() -> DescribedShop:
    """Return a shop whose customers keep to one of eight tastes, each the word of its items."""
    rng = np.random.default_rng(1)
    items = [Item(ItemId(str(row)), f"taste{row % 8}", "Things") for row in range(1_600)]
    users = np.repeat(np.arange(200), 30)
    rows = rng.integers(0, 200, len(users)) * 8 + users % 8
    days = rng.integers(0, 28, len(users)) - np.where(np.arange(len(users)) % 3, 28, 0)
    order = np.argsort(days, kind="stable")
    n = len(users)
    events = Interactions(
        users[order].astype(np.int32),
        rows[order].astype(np.int32),
        np.full(n, EVENT_CODES[EventType.PURCHASE], dtype=np.uint8),
        np.ones(n, dtype=np.float32),
        TEST + days[order].astype("timedelta64[D]"),
        np.arange(n, dtype=np.uint32),
        np.zeros(n, dtype=np.int32),
        200,
        len(items),
    )
    return DescribedShop("drawn", items, [("Things",)] * len(items), events, TEST, TEST)


def test_tiny_run_tells_content_from_its_baselines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def shops(_: object) -> Iterator[DescribedShop]:
        yield drawn_shop()

    monkeypatch.setattr(cold_items, "shops", shops)
    path = tmp_path / "cold.json"

    cold_items.main(["--repeats", "2", "--json", str(path)])

    metrics = json.loads(path.read_text())["metrics"]
    assert metrics["drawn_content_recall_at_50"] > 0.9
    assert 0.2 < metrics["drawn_random_recall_at_50"] < 0.45
    assert metrics["recall_ratio_to_category_popularity"] > 2
    assert metrics["drawn_recall_ratio_to_category_affinity_at_10"] > 2
    assert "drawn: 160 items hidden, 2 times" in capsys.readouterr().out
