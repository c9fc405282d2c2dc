"""What every reader of files gives: batches of rows, each with its place in the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa

from recsys.arrays import Mask

BATCH_ROWS = 50_000
BLOCK_BYTES = 8 << 20
REJECTS = ".rejects.jsonl"
"""How the name of a file ends that holds rejected rows, each as `row` of its line."""
FORMATS = ".csv, .tsv, .json, .jsonl, .ndjson (each also with .gz) or .parquet"


@dataclass(frozen=True, slots=True)
class Broken:
    """A line that cannot be read as a row at all."""

    line: int
    came: str
    wanted: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of a file, in order.

    rows: as they came, one column each.
    lines: of each row, its line in a text file, its place in a JSON array or its row number in
        Parquet, from 1.
    broken: lines met on the way that are no rows.
    no_text: of columns that hold such, which rows hold neither a text nor a whole number.
    """

    rows: pa.RecordBatch
    lines: Sequence[int]
    broken: Sequence[Broken] = ()
    no_text: Mapping[str, Mask] = field(default_factory=dict)

    def take(self, chosen: Mask) -> Self:
        """Return the batch with some of its rows alone."""
        return replace(
            self,
            rows=self.rows.filter(pa.array(chosen)),
            lines=np.asarray(self.lines)[chosen].tolist(),
            no_text={name: mask[chosen] for name, mask in self.no_text.items()},
        )


@dataclass(frozen=True, slots=True)
class Table:
    """A file about to be read: its columns, how many rows it has (None: not known), and them."""

    path: Path
    columns: tuple[str, ...]
    n_rows: int | None
    batches: Callable[[], Iterator[Batch]]


def kind_of(path: Path) -> str:
    """Return the suffix that tells a file's format: the one before .gz where it is packed."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    return suffixes[0] if len(suffixes) == 2 and suffixes[1] == ".gz" else path.suffix.lower()
