"""The engine that reads the lake: with bounded memory, and a place on the disk for the rest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from serving.lake.spill import spill_folder

MEMORY = "512MB"


@contextmanager
def lake_engine(lake_folder: Path, *, threads: int = 0) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give an engine that spills beside a lake. threads: most that it may use; 0 for all cores.

    Raises Unavailable where there can be no folder beside the lake.
    """
    with (
        spill_folder(lake_folder.parent) as spill,
        bounded_engine(spill, threads=threads) as engine,
    ):
        yield engine


def bounded_engine(
    spill: Path, *, memory: str = MEMORY, threads: int = 0
) -> duckdb.DuckDBPyConnection:
    """Return an engine, to be closed, that writes to a folder what is beyond so much memory."""
    limits: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": memory,
        "temp_directory": str(spill),
        "preserve_insertion_order": False,
    }
    return duckdb.connect(config={**limits, "threads": threads} if threads else limits)
