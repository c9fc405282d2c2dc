from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from serving.state.embedded import EmbeddedValkey
from tests.serving.erasure.shops import SECRET, Shop, plant

prefixes = (f"erasure{n}:" for n in itertools.count())


@pytest.fixture
async def shop(valkey: EmbeddedValkey, tmp_path: Path) -> AsyncIterator[Shop]:
    """Give a shop in which Anna is planted in every store, and Bert beside her."""
    made = Shop(tmp_path / "data", valkey.address, next(prefixes))
    made.open()
    await plant(made)
    yield made
    await made.close()


@pytest.fixture
def data_folder(short_folder: Path) -> Iterator[Path]:
    """Give a data folder with Anna and Bert in it, and nobody who holds it."""
    folder = short_folder / "data"
    folder.mkdir()
    (folder / "secret").write_bytes(SECRET.value)
    server = EmbeddedValkey.start_or_adopt(folder)

    async def planted() -> None:
        shop = Shop(folder, server.address, "recsys:")
        shop.open()
        await plant(shop)
        await shop.close()

    try:
        asyncio.run(planted())
        yield folder
    finally:
        server.kill()
        server.stop()
