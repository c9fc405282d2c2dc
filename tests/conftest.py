"""What the tests of several rooms share."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import settings

from serving.state.embedded import EmbeddedValkey

settings.register_profile("patient", deadline=None)  # a test says nothing about time
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def _logging_ends_with_a_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let no logger keep the standard error of a test that runs a command in this process."""
    configure = structlog.configure

    def uncached(**given: Any) -> None:
        configure(**{**given, "cache_logger_on_first_use": False})

    monkeypatch.setattr(structlog, "configure", uncached)
    yield
    structlog.reset_defaults()


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
