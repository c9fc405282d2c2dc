from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from benchmarks import harness
from benchmarks.harness import Spread


def test_spread_of_measures_is_least_median_most() -> None:
    assert Spread.of([5.0, 1.0, 3.0, 2.0]) == Spread(1.0, 2.5, 5.0)


def test_repeated_measure_leaves_the_first_out() -> None:
    measured = itertools.count(start=100.0, step=-10.0)

    spread = harness.repeated(lambda: next(measured), 3)

    assert spread == Spread(70.0, 80.0, 90.0)


def test_report_says_what_ran_on_what_and_with_which_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = harness.parser("?").parse_args(["--seed", "3", "--json", str(tmp_path / "r.json")])

    report = harness.report_of(
        "retrieval", options, sizes={"items": 10}, metrics={"recall": 1 / 3, "errors": 0}
    )
    harness.tell(report, [], options.json)

    written = json.loads((tmp_path / "r.json").read_text())
    assert set(written) == {
        "benchmark",
        "command",
        "machine",
        "versions",
        "seed",
        "sizes",
        "metrics",
    }
    assert written["command"].startswith("python -m benchmarks.retrieval")
    assert written["seed"] == 3
    assert written["metrics"] == {"recall": 0.33333, "errors": 0}
    assert {"cpu", "cores", "memory_gib", "kernel", "python"} == set(written["machine"])
    assert "numpy" in written["versions"]
    assert "retrieval" in capsys.readouterr().out
