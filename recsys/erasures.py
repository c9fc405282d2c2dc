"""The mark that says how far erasures have come in a lake, for whoever learns from it.

Whoever reads a lake to learn from it reads the mark first, and again before publishing: what was
begun meanwhile may have been read before it was gone.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from recsys.errors import Unavailable

MARK_FILE = "erased.json"


@dataclass(frozen=True, slots=True)
class ErasureMark:
    """How far erasures have come; numbers grow with every erasure and are never used again.

    begun: of the newest that has begun to change the lake. done: of the newest such that nothing
    of it, and of those before, is in the lake any more. 0: none.
    """

    begun: int = 0
    done: int = 0

    @classmethod
    def read(cls, lake: Path) -> Self:
        """Return the mark of a lake. Raises Unavailable for a file that is none."""
        path = lake / MARK_FILE
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            return cls(int(found["begun"]), int(found["done"]))
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Unavailable(
                f"{path} does not tell which customers were erased: {error}. Remove it, start "
                "`recsys serve` once, which erases them again, and try again",
                reason="ERASURE_MARK_DAMAGED",
            ) from error

    def write(self, lake: Path) -> None:
        """Put the mark into a lake, whole and durable. Raises OSError."""
        path = lake / MARK_FILE
        draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
        with draft.open("w", encoding="utf-8") as file:
            json.dump(asdict(self), file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        descriptor = os.open(lake, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def covers(self, later: ErasureMark) -> bool:
        """Return whether what was read under this mark holds nobody whom a later mark names."""
        return self.done >= later.begun
