"""JSON comes as lines, as an array, or as objects one after the other, of any size."""

from __future__ import annotations

import gzip
from pathlib import Path

import orjson
import pytest

from recsys.errors import InvalidInput
from serving.importing import json_files
from serving.importing.job import ImportCounts
from serving.importing.json_files import document_batches
from tests.serving.importing.importer import Importer, rejected

ROWS = [
    {"type": "like", "time": 1714564800, "item_id": f"item {n}", "user_id": "ann"} for n in range(3)
]


def items(importer: Importer) -> list[str]:
    return [event.item_id for event in importer.stored()]


@pytest.mark.parametrize(
    "text",
    [
        orjson.dumps(ROWS),
        orjson.dumps(ROWS, option=orjson.OPT_INDENT_2) + b"\n",
        b"\n".join(map(orjson.dumps, ROWS)),
        b"\xef\xbb\xbf" + b"\n".join(map(orjson.dumps, ROWS)),
        b"\n".join(orjson.dumps(row, option=orjson.OPT_INDENT_2) for row in ROWS),
        b"\xef\xbb\xbf  " + orjson.dumps(ROWS),
    ],
    ids=["array", "indented array", "lines", "lines with a mark", "indented objects", "marked"],
)
def test_json_file_is_read_whatever_its_layout(
    text: bytes, tmp_path: Path, importer: Importer
) -> None:
    file = tmp_path / "events.json"
    file.write_bytes(text)

    importer(file)

    assert items(importer) == ["item 0", "item 1", "item 2"]


def test_one_object_alone_and_packed_is_a_row(tmp_path: Path, importer: Importer) -> None:
    file = tmp_path / "event.json.gz"
    file.write_bytes(gzip.compress(orjson.dumps(ROWS[0], option=orjson.OPT_INDENT_2)))

    importer(file)

    assert items(importer) == ["item 0"]


def test_values_that_are_no_objects_are_rejected_by_their_place(
    tmp_path: Path, importer: Importer
) -> None:
    file = tmp_path / "events.json"
    file.write_bytes(orjson.dumps([ROWS[0], 7, "text", [], ROWS[1]]))

    imported = importer(file)

    assert imported.counts == ImportCounts(5, 2, 0, 3)
    assert [(one["line"], one["came"]) for one in rejected(imported)] == [
        (2, "7"),
        (3, '"text"'),
        (4, "[]"),
    ]


def test_equal_objects_of_an_array_are_two_events_and_come_in_once(
    tmp_path: Path, importer: Importer
) -> None:
    file = tmp_path / "events.json"
    file.write_bytes(orjson.dumps([ROWS[0], ROWS[0]]))

    first, again = importer(file), importer(file)

    assert first.counts == ImportCounts(2, 2, 0, 0)
    assert again.counts == ImportCounts(2, 0, 2, 0)


@pytest.mark.parametrize(
    "end",
    [b', {"type"', b"", b" nonsense, 7]", b"]]"],
    ids=["in a row", "at once", "badly", "twice"],
)
def test_array_that_breaks_off_is_said_and_what_stands_before_it_is_in(
    end: bytes, tmp_path: Path, importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_files, "BLOCK_BYTES", 1)  # one row a batch
    file = tmp_path / "events.json"
    file.write_bytes(b"[" + orjson.dumps(ROWS[0]) + b"," + orjson.dumps(ROWS[1]) + end)

    with pytest.raises(InvalidInput, match="a whole JSON array"):
        importer(file)

    assert items(importer) == ["item 0", "item 1"]


def test_array_that_breaks_off_within_its_first_batch_leaves_what_stands_before(
    tmp_path: Path, importer: Importer
) -> None:
    file = tmp_path / "events.json"
    file.write_bytes(b"[" + orjson.dumps(ROWS[0]) + b"," + orjson.dumps(ROWS[1]) + b',{"type"')

    with pytest.raises(InvalidInput, match="a whole JSON array"):
        importer(file)

    assert items(importer) == ["item 0", "item 1"]


def test_object_of_an_array_that_is_not_in_utf8_is_told_and_the_others_land(
    tmp_path: Path, importer: Importer
) -> None:
    file = tmp_path / "events.json"
    rows = [orjson.dumps(row | {"outlet": "café"}) for row in ROWS]
    rows[1] = rows[1].decode().encode("latin-1")
    file.write_bytes(b"[" + b",\n".join(rows) + b"]")

    imported = importer(file)

    assert imported.counts == ImportCounts(3, 2, 0, 1)
    assert [one["line"] for one in rejected(imported)] == [2]
    assert items(importer) == ["item 0", "item 2"]


def test_array_longer_than_a_chunk_is_read_in_batches_of_bounded_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_files, "_CHUNK", 64)
    monkeypatch.setattr(json_files, "BLOCK_BYTES", 1_000)
    rows = [{"number": number, "text": "é" * 20} for number in range(100)]
    file = tmp_path / "events.json"
    file.write_bytes(orjson.dumps(rows, option=orjson.OPT_INDENT_2))

    batches = list(document_batches(file))

    assert [row for batch in batches for row in batch.found] == rows
    assert len(batches) > 5
    assert max(batch.n_bytes for batch in batches) < 1_100


def test_line_beyond_all_measure_is_rejected_and_the_next_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_files, "_MOST_VALUE", 1_000)
    file = tmp_path / "events.jsonl"
    file.write_bytes(b'{"text": "' + b"x" * 5_000 + b'"}\n{"number": 2}\n')

    (batch,) = document_batches(file)

    assert [len(one.came) for one in batch.broken] == [1_000]
    assert (batch.found, batch.lines) == ([{"number": 2}], [2])
