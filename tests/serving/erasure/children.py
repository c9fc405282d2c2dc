"""What a process does that is killed while it erases."""

from __future__ import annotations

import asyncio
from pathlib import Path

from serving.state.address import parse_redis_url
from tests.faults.disk import Disk
from tests.faults.operations import KillsAt
from tests.serving.erasure.shops import Shop


def erase(folder: str, url: str, prefix: str, n: int) -> None:
    """Do what the ledger asks for, and die in place of the n-th operation on the disk."""
    asyncio.run(_erasing(Shop(Path(folder), parse_redis_url(url), prefix), n))


async def _erasing(shop: Shop, n: int) -> None:
    with Disk(shop.folder, KillsAt(n)):
        await shop.eraser().run()
