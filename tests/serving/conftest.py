"""A desk of customers, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from serving.client import Client
from serving.state.embedded import EmbeddedValkey
from tests.serving.desk import Desk, opened


@pytest.fixture
async def desk(valkey: EmbeddedValkey, tmp_path: Path) -> AsyncIterator[Desk]:
    async with opened(valkey, tmp_path) as one:
        yield one


@pytest.fixture
async def client(desk: Desk) -> AsyncIterator[Client]:
    async with Client(desk.address, timeout_ms=10_000) as client:
        yield client
