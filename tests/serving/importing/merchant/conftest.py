from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.importing.catalog import CatalogImporter


@pytest.fixture
def importer(tmp_path: Path) -> Iterator[CatalogImporter]:
    one = CatalogImporter(tmp_path)
    yield one
    one.writer.close()
