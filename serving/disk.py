"""What is on the disk and not only in the system's cache."""

from __future__ import annotations

import os
from pathlib import Path


def synced(path: Path) -> None:
    """Return when a file, or the list of names in a folder, is on the disk. Raises OSError."""
    if os.name == "nt" and path.is_dir():
        return  # Windows opens no folders
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
