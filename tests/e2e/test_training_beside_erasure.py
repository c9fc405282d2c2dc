"""Real trainings beside a real server, while a customer is erased."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from recsys.bundle import MANIFEST_FILE
from recsys.pipeline.placement import DEFAULT_PLACEMENTS
from recsys.releases import read_pointer, versions
from tests.e2e.running import DEADLINE_S, DataFolder, Server, wait_until
from tests.training.small_lake import shop_lines

SETTINGS = Path(__file__).parents[1] / "training" / "small.toml"
NAMED = "customer-who-leaves-"
TRAIN = "from recsys.cli import main; raise SystemExit(main())"


@pytest.fixture
def server(data: DataFolder, tmp_path: Path) -> Iterator[Server]:
    """Give a server whose shop has real orders in its lake."""
    (data.path / "placements.toml").write_text(DEFAULT_PLACEMENTS.read_text())
    started = Server.ready(data)
    orders = tmp_path / "orders.csv"
    with orders.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("event_id", "user_id", "item_id", "time", "type"))
        rows.writerows(
            (f"e{n}", f"{NAMED}{one.user}", f"i{one.item_row}", one.time.isoformat(), "purchase")
            for n, one in enumerate(shop_lines())
        )
    imported = data.recsys("import", "events", str(orders))
    assert imported.returncode == 0, imported.stderr
    yield started
    started.end()


def training(data: DataFolder) -> subprocess.Popen[str]:
    words = ("train", "--settings", str(SETTINGS), "--set", "gate.tolerance=1.0")
    return subprocess.Popen(
        [sys.executable, "-c", TRAIN, *words],
        env=data.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def trained(data: DataFolder) -> tuple[int, str]:
    said, complained = (run := training(data)).communicate(timeout=DEADLINE_S)
    return run.returncode, said + complained


def receipts(data: DataFolder) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = orjson.loads(
        data.recsys("customers", "erasures", "--json").stdout
    )
    return found


def learned_through(folder: Path) -> list[int]:
    """Return the newest erasure behind each model below a folder."""
    manifests = sorted(folder.rglob(MANIFEST_FILE))
    return [orjson.loads(one.read_bytes())["erased_through"] for one in manifests]


@pytest.mark.timeout(300)
def test_training_during_an_erasure_is_refused_and_the_next_one_ends_it(server: Server) -> None:
    data, leaving = server.data, f"{NAMED}u7"
    first, found = trained(data), data.recsys("customers", "verify-erasure", leaving)
    champion = read_pointer(data.releases)
    run = training(data)
    assert run.stdout
    next(line for line in run.stdout if "learn from everything" in line)
    run.send_signal(signal.SIGSTOP)

    erased = data.recsys("customers", "erase", leaving, "--yes")
    run.send_signal(signal.SIGCONT)
    _, complained = run.communicate(timeout=DEADLINE_S)
    while_open = receipts(data)
    served = (read_pointer(data.releases), versions(data.releases))
    second = trained(data)
    (receipt,) = wait_until(
        lambda: [one for one in receipts(data) if one["finished"]], "a receipt that is closed"
    )
    searched = data.recsys("customers", "verify-erasure", leaving)

    assert first[0] == 0, first[1]
    assert found.returncode == 1, found.stdout
    assert (erased.returncode, "open" in erased.stdout) == (0, True), erased.stdout
    assert (run.returncode, "run `recsys train` again" in complained) == (1, True), complained
    assert not while_open[0]["finished"]
    assert served == (champion, (champion,))
    assert second[0] == 0, second[1]
    assert read_pointer(data.releases) not in (champion, None)
    for folder in (data.releases, data.path / "mlartifacts"):
        assert learned_through(folder) == [receipt["number"]]
    assert searched.returncode == 0, searched.stdout
    assert "mlartifacts" in searched.stdout
