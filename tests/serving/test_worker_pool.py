from __future__ import annotations

from pathlib import Path

import pytest

from recsys.errors import Unavailable
from serving import worker_pool
from serving.settings import read_settings
from serving.worker_pool import WorkerPool


async def test_worker_that_never_comes_up_is_not_started_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_pool, "MOST_FALSE_STARTS", 1)
    settings = read_settings(
        data_folder=tmp_path, workers=1, port=0, redis_url="unix:///nowhere/at.all",
        placements=str(tmp_path / "not-there.toml"),
    )  # fmt: skip
    pool = WorkerPool(settings)

    with pytest.raises(Unavailable, match="does not start") as caught:
        await pool.keep_running()

    await pool.stop()
    assert caught.value.reason == "WORKER_DOES_NOT_START"
