"""What the tests of several rooms share."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from serving.state.embedded import EmbeddedValkey

settings.register_profile("patient", deadline=None)  # a test says nothing about time
settings.load_profile("patient")


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Give an empty folder whose path leaves room for a socket's address."""
    folder = Path(tempfile.mkdtemp(prefix="rs-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def valkey() -> Iterator[EmbeddedValkey]:
    """Give a real Valkey, shared by the session: whoever uses it takes a key prefix of its own."""
    folder = Path(tempfile.mkdtemp(prefix="rs-"))
    server = EmbeddedValkey.start_or_adopt(folder)
    yield server
    server.stop()
    shutil.rmtree(folder)
