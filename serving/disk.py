"""What is on the disk and not only in the system's cache."""

from __future__ import annotations

import os
from pathlib import Path


def make_private(folder: Path) -> list[Path]:
    """Make a folder and what is missing above it, open to its owner alone; return what was made.

    Folders that are there stay as they are. Raises OSError.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing or [folder]):  # the folder in any case: it may be a file
        one.mkdir(mode=0o700, exist_ok=True)
    return missing


def synced(path: Path) -> None:
    """Return when a file, or the list of names in a folder, is on the disk. Raises OSError."""
    if os.name == "nt" and path.is_dir():
        return  # Windows opens no folders
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
