"""The lake's files by plain local paths, whatever the name of the folder they lie in."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from recsys.errors import InvalidInput

_NOT_OPENED = re.compile(r"[\[\]^|\\?]|%[0-9A-Fa-f]{2}")


def data_files(folder: Path, table: DeltaTable, first_day: date = date.min) -> list[str]:
    """Return the data files of an open table that lies in a folder.

    first_day: of a table by `day`, leave out the files of days before.

    The engine's own list is of URLs, in which a space is `%20`; who reads files takes that for
    their name.
    """
    files = pa.table(table.get_add_actions(flatten=True))
    if first_day > date.min:
        files = files.filter(pc.greater_equal(files["partition.day"], first_day))
    return [str(folder.absolute() / unquote(name)) for name in files["path"].to_pylist()]


def check_openable(folder: Path) -> None:
    """Raise InvalidInput for a folder whose path an engine takes for another, or for none.

    Delta aborts on some characters and reads `%20` as a space; MLflow's store ends at a `?`.
    """
    path = str(folder.absolute())
    if _NOT_OPENED.search(path):
        raise InvalidInput(
            "data_folder", path, "a path without [ ] ^ | \\ ? and without % before two hex digits"
        )
