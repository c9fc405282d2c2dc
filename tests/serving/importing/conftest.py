from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.importing.importer import Importer


@pytest.fixture
def importer(tmp_path: Path) -> Iterator[Importer]:
    one = Importer(tmp_path)
    yield one
    one.writer.close()
