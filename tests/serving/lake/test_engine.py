"""What reads the lake has bounded memory, and leaves nothing on the disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from serving.lake import spill
from serving.lake.engine import lake_engine
from serving.lake.spill import PREFIX, spill_folder

SERVING = Path(__file__).parents[3] / "serving"
HOLDING = """
import sys
from pathlib import Path
from typing import Any
from serving.lake.spill import spill_folder
with spill_folder(Path(sys.argv[1])) as folder:
    (folder / "duckdb_temp_block").write_bytes(b"much")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    (tmp_path / "lake").mkdir()
    return tmp_path / "lake"


def spilling(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLDING, str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def folders(data_folder: Path) -> list[Path]:
    return sorted(data_folder.glob(f"{PREFIX}*"))


def test_every_engine_of_serving_is_made_in_one_place() -> None:
    making = [path.name for path in SERVING.rglob("*.py") if "duckdb.connect(" in path.read_text()]

    assert making == ["engine.py"]


def test_engine_sorts_more_than_its_memory_holds_beside_the_lake(lake: Path) -> None:
    with lake_engine(lake, threads=1) as engine:
        engine.execute("SET memory_limit = '64MB'")
        engine.execute(
            "CREATE TEMP TABLE t AS SELECT hash(i) AS h, i::TEXT AS s FROM range(4000000) x(i)"
        )
        (place,) = folders(lake.parent)
        spilled = [path for path in place.iterdir() if path.name.startswith("duckdb")]
        (count,) = engine.execute("SELECT count(*) FROM t").fetchall()[0]

    assert count == 4_000_000
    assert spilled
    assert folders(lake.parent) == []


def test_engine_has_a_limit_of_memory(lake: Path) -> None:
    with lake_engine(lake) as engine:
        (limit,) = engine.execute("SELECT current_setting('memory_limit')").fetchall()[0]

    assert limit == "488.2 MiB"


def test_folder_of_a_killed_process_goes_and_that_of_a_living_one_stays(tmp_path: Path) -> None:
    with spilling(tmp_path) as killed, spilling(tmp_path) as living:
        assert killed.stdout is not None
        assert living.stdout is not None
        left, used = (Path(one.stdout.readline().strip()) for one in (killed, living))  # type: ignore[union-attr]
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        there = folders(tmp_path)

        with spill_folder(tmp_path) as own:
            beside = folders(tmp_path)

        living.communicate("")

    assert there == sorted([left, used])
    assert beside == sorted([used, own])
    assert folders(tmp_path) == []


def test_folder_that_was_swept_before_it_was_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []

    def made_and_swept(**where: Any) -> str:
        folder = Path(where["dir"], f"{where['prefix']}{len(made)}")
        made.append(folder)
        folder.mkdir()
        if len(made) == 1:
            spill._sweep(tmp_path)
        return str(folder)

    monkeypatch.setattr(spill, "mkdtemp", made_and_swept)

    with spill_folder(tmp_path) as folder:
        assert folder == made[1]
