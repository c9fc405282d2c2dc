from __future__ import annotations

import json
from pathlib import Path

from benchmarks import catalog_publish


def test_both_kinds_of_shop_are_measured(tmp_path: Path) -> None:
    out = tmp_path / "report.json"

    catalog_publish.main(["--items", "60", "--repeats", "2", "--json", str(out)])

    found = json.loads(out.read_text())["metrics"]
    assert found["plain_batch_100_p50_ms"] > 0
    assert found["rich_per_10k_titles_mb"] > 0.5
    assert found["rich_per_10k_newcomers_mb"] > found["rich_per_10k_titles_mb"]
