"""Files of ids, one a line."""

from __future__ import annotations

from pathlib import Path

from recsys.errors import InvalidInput, NotFound
from recsys.ids import check_id


def read_ids(path: Path) -> list[str]:
    """Return the ids in a file, each once, in order; empty lines and outer spaces do not count.

    Raises NotFound where the file cannot be read, InvalidInput naming the line that is no id.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error}", reason="FILE_NOT_FOUND") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(str(path), str(error), "a file of ids in UTF-8, one a line") from error
    ids = {line.strip(): number for number, line in enumerate(lines, start=1) if line.strip()}
    for text, number in ids.items():
        check_id(f"{path}:{number}", text)
    return list(ids)
