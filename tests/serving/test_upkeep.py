"""What runs beside serving goes on whatever one of its jobs meets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from recsys.errors import Unavailable
from recsys.events import Position
from serving import upkeep
from serving.erasure.receipts import Receipt
from serving.metrics import Registry, UpkeepMetrics, totals
from serving.settings import read_settings
from serving.upkeep import Moved, Upkeep


class Log:
    """A log that is caught up with."""

    async def run(self, told: Callable[[int, int], None]) -> Position:
        return Position(7)


class StumblingArchive:
    """Fails at the first drain, drains at the second."""

    def __init__(self, fault: Exception) -> None:
        self.fault = fault
        self.drains = 0
        self.drained = asyncio.Event()

    async def drain_when_due(self) -> Moved:
        self.drains += 1
        if self.drains == 1:
            raise self.fault
        self.drained.set()
        return Moved(3)


async def _no_receipts() -> list[Receipt]:
    return []


async def _nothing() -> None:
    return


@pytest.mark.parametrize(
    "fault", [ValueError("a fault of our own"), Unavailable("a full disk", reason="LOG")]
)
async def test_job_that_fails_is_counted_and_tried_again(
    fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "_AGAIN_AFTER_S", 0.0)
    registry, archive = Registry(), StumblingArchive(fault)
    collaborators: Any = (Log(), archive, read_settings())
    one = Upkeep(
        *collaborators,
        revive=_nothing,
        erase=_no_receipts,
        announce=print,
        metrics=UpkeepMetrics.of(registry),
    )

    draining = asyncio.create_task(one.keep_draining())
    await asyncio.wait_for(archive.drained.wait(), 10.0)
    await asyncio.sleep(0)

    counted = totals(registry)
    draining.cancel()
    assert [value for name, value in counted.items() if "drained" in name] == [3.0]
    assert [value for name, value in counted.items() if "failures" in name] == [1.0]
