"""The release folder: one sub-folder a bundle, and a pointer that says which is served.

`current` is the truth about what is served; `history.jsonl` tells how it came to be. Training
moves the pointer, serving watches it.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from recsys.bundle import MANIFEST_FILE, sync_folder

POINTER_FILE = "current"
HISTORY_FILE = "history.jsonl"


@dataclass(frozen=True, slots=True)
class Move:
    """One move of the pointer.

    time: ISO 8601, UTC. previous: what was served before; empty where nothing was.
    reason: why, in words.
    """

    time: str
    version: str
    previous: str
    reason: str


class Pointer(NamedTuple):
    """What the pointer file says, and which writing of it: a repaired release is promoted anew.

    written: inode and time of change (ns) of the very file that was read.
    """

    version: str
    written: tuple[int, int]


def pointer(folder: Path) -> Pointer | None:
    """Return what is to be served, or None where nothing has been promoted yet."""
    try:
        with (folder / POINTER_FILE).open(encoding="utf-8") as file:
            found, version = os.fstat(file.fileno()), file.read().strip()
    except FileNotFoundError:
        return None
    return Pointer(version, (found.st_ino, found.st_mtime_ns)) if version else None


def read_pointer(folder: Path) -> str | None:
    """Return the version that is served, or None where nothing has been promoted yet."""
    named = pointer(folder)
    return named.version if named else None


def move_pointer(folder: Path, version: str, *, reason: str, now: datetime) -> Move:
    """Serve another version from now on; a reader sees the old pointer or the new one, whole.

    The move is told in the history before the pointer moves, so that a crash between the two
    leaves a line too many rather than a served version nobody promoted.
    """
    move = Move(now.isoformat(timespec="seconds"), version, read_pointer(folder) or "", reason)
    with (folder / HISTORY_FILE).open("ab") as history:
        history.write(_line_break(history.tell(), folder) + _line(move))
        history.flush()
        os.fsync(history.fileno())
    draft = folder / f".{POINTER_FILE}.draft"
    with draft.open("w", encoding="utf-8") as pointer:
        pointer.write(f"{version}\n")
        pointer.flush()
        os.fsync(pointer.fileno())
    draft.replace(folder / POINTER_FILE)
    sync_folder(folder)
    return move


def versions(folder: Path) -> tuple[str, ...]:
    """Return the releases of a folder, oldest first; none where there is no folder."""
    if not folder.is_dir():
        return ()
    return tuple(
        sorted(
            path.name
            for path in folder.iterdir()
            if not path.name.startswith(".") and (path / MANIFEST_FILE).is_file()
        )
    )


def history(folder: Path) -> tuple[Move, ...]:
    """Return every move of the pointer, oldest first; a line torn by a crash is left out."""
    try:
        lines = (folder / HISTORY_FILE).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return ()
    return tuple(move for move in map(_parsed, lines) if move is not None)


def previous(folder: Path) -> str | None:
    """Return the version that was served before the current one and still exists, or None.

    After a rollback it is what came before the version rolled back to, so that rolling back
    twice goes two steps back.
    """
    served: list[str] = []
    for move in history(folder):
        if move.version in served:
            del served[served.index(move.version) :]
        served.append(move.version)
    current, there = read_pointer(folder), set(versions(folder))
    if current in served:
        del served[served.index(current) :]
    return next((version for version in reversed(served) if version in there), None)


def _line(move: Move) -> bytes:
    return json.dumps(asdict(move)).encode() + b"\n"


def _line_break(size: int, folder: Path) -> bytes:
    """Return what must go before a new line: a break where a crash tore the last one."""
    whole = not size or (folder / HISTORY_FILE).read_bytes().endswith(b"\n")
    return b"" if whole else b"\n"


def _parsed(line: str) -> Move | None:
    try:
        return Move(**json.loads(line))
    except (ValueError, TypeError):
        return None
