from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from serving.state.embedded import EmbeddedValkey
from tests.serving.erasure.shops import Shop, plant

prefixes = (f"erasure{n}:" for n in itertools.count())


@pytest.fixture
async def shop(valkey: EmbeddedValkey, tmp_path: Path) -> AsyncIterator[Shop]:
    """Give a shop in which Anna is planted in every store, and Bert beside her."""
    made = Shop(tmp_path / "data", valkey.address, next(prefixes))
    made.open()
    await plant(made)
    yield made
    await made.close()
