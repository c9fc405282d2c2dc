"""Parquet files that hold an id in one way each, to try a search on."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

_OTHERS = ["a neighbour", "another neighbour", "z"]


def in_a_text_column(path: Path, text: str) -> None:
    """Plant a text in a packed column of texts, where no statistics tell of it."""
    _write(path, pa.table({"user_id": [*_OTHERS, text, "zz"]}), dictionary=False)


def in_a_dictionary(path: Path, text: str) -> None:
    """Plant a text in the dictionary page of a column."""
    _write(path, pa.table({"user_id": [*_OTHERS, text, "zz"]}), dictionary=True)


def in_a_large_column(path: Path, text: str) -> None:
    """Plant a text in a column of large texts."""
    texts = pa.array([*_OTHERS, text], pa.large_string())
    _write(path, pa.table({"identifier": texts}), dictionary=True)


def in_a_list(path: Path, text: str) -> None:
    """Plant a text inside a list of structs."""
    column = pa.array([[{"name": "user_id", "value": text}], []])
    _write(path, pa.table({"attributes": column}), dictionary=True)


def in_bytes(path: Path, text: str) -> None:
    """Plant a text in a column of bytes."""
    _write(path, pa.table({"payload": pa.array([text.encode(), b""])}), dictionary=True)


def in_statistics(path: Path, text: str) -> None:
    """Plant a text where the footer gives it as the least and the greatest of a column."""
    pq.write_table(pa.table({"user_id": [text]}), path, compression="zstd")


def in_statistics_of_a_checkpoint(path: Path, text: str) -> None:
    """Plant a text in what a Delta checkpoint says of a data file."""
    stats = f'{{"minValues":{{"user_id":"{text}"}}}}'
    column = pa.array([{"path": "part-0.parquet", "stats": stats}])
    _write(path, pa.table({"add": column}), dictionary=True)


def _write(path: Path, rows: pa.Table, *, dictionary: bool) -> None:
    pq.write_table(
        rows, path, compression="zstd", use_dictionary=dictionary, write_statistics=False
    )
