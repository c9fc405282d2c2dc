"""An id looked for inside Parquet files: in every column, and in what their footers say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsys.customers import IdKind
from serving.erasure.sought import Certainty, Sought

Place = tuple[str, Certainty]
"""Where something was found, and how sure it is."""

_ROWS_A_BATCH = 65_536
_KINDS = {"customer_id": "kind", "identifier": "kind", "other": "other_kind"}
"""Columns of ids, and the column that says of which kind each is."""


def in_columns(path: Path, sought: Sought) -> Iterator[Place]:
    """Yield the columns of a Parquet file that hold the id, whatever their type and encoding.

    Raises the engine's errors, and OSError.
    """
    found: dict[str, Certainty] = {}
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_ROWS_A_BATCH):
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                if _KINDS.get(name) in batch.schema.names:
                    own = pc.equal(batch[_KINDS[name]], sought.identifier.kind.value)
                    column, name = column.filter(own), f"{sought.identifier.kind.value}_id"
                for place, sure in _in_array(column, name, sought):
                    found[place] = max(found.get(place, Certainty.NOT), sure)
    yield from ((f"column {name}", sure) for name, sure in found.items())


def in_statistics(path: Path, sought: Sought) -> Iterator[Place]:
    """Yield the columns of which the footer says that the id is the least or the greatest."""
    metadata = pq.read_metadata(path)
    found: dict[str, Certainty] = {}
    for group in range(metadata.num_row_groups):
        for place in range(metadata.num_columns):
            column = metadata.row_group(group).column(place)
            for value in _bounds(column):
                name = column.path_in_schema
                sure = sought.in_field(value, name.rpartition(".")[2])
                if sure and not _of_another_kind(name, sought):
                    found[name] = max(found.get(name, Certainty.NOT), sure)
    yield from ((f"statistics {name}", sure) for name, sure in found.items())


def _of_another_kind(name: str, sought: Sought) -> bool:
    """Return whether a column holds ids of other kinds alone."""
    kinds = {f"{kind.value}_id" for kind in IdKind if kind is not sought.identifier.kind}
    return name in kinds


def _bounds(column: pq.ColumnChunkMetaData) -> Iterator[str]:
    found = column.statistics if column.is_stats_set else None
    if found is not None and found.has_min_max:
        for bound in (found.min, found.max):
            if isinstance(bound, (str, bytes)):
                yield bound if isinstance(bound, str) else bound.decode(errors="replace")


def _in_array(column: pa.Array, name: str, sought: Sought) -> Iterator[Place]:
    """Yield where in a column of any depth the id stands, and how sure it is."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        yield from _in_array(column.dictionary, name, sought)
    elif pa.types.is_struct(kind):
        for place, field in enumerate(kind):
            yield from _in_array(column.field(place), field.name, sought)
    elif pa.types.is_map(kind):
        yield from _in_array(column.keys, name, sought)
        yield from _in_array(column.items, name, sought)
    elif (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    ):
        yield from _in_array(column.flatten(), name, sought)
    elif _is_text(kind):
        yield from _in_texts(column, name, sought)


def _is_text(kind: pa.DataType) -> bool:
    return any(
        is_one(kind)
        for is_one in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_string_view,
            pa.types.is_binary,
            pa.types.is_large_binary,
            pa.types.is_binary_view,
            pa.types.is_fixed_size_binary,
        )
    )


def _in_texts(column: pa.Array, name: str, sought: Sought) -> Iterator[Place]:
    texts = pc.unique(column.cast(pa.large_binary()))
    for form in (*sought.forms, *sought.hashes):
        holding = texts.filter(pc.match_substring(texts, form))
        for value in holding.to_pylist():
            if value is not None:
                sure = (
                    sought.in_field(value.decode(errors="surrogateescape"), name)
                    if (form not in sought.hashes)
                    else Certainty.CERTAIN
                )
                if sure:
                    yield name, sure
