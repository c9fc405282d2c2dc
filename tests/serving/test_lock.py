from pathlib import Path

import pytest

from recsys.errors import Unavailable
from serving.lock import DataFolderLock


def test_data_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()

    with pytest.raises(Unavailable, match="cannot be written"), DataFolderLock(tmp_path):
        pass
