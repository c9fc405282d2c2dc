"""Rejected rows lie in a file of their source's own, and go in once they are mended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from serving.importing.job import ImportCounts, Imported
from serving.importing.prepared import Shape
from tests.serving.importing.importer import Importer, rejected

HEADER = "type,time,item_id,user_id\n"
GOOD, BAD = "like,2024-05-01,tea,ann\n", "like,yesterday,rye,bob\n"


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(HEADER + text)
    return path


def mended(imported: Imported, **fields: Any) -> Path:
    """Return the file of rejects with these fields in every row."""
    assert imported.rejects is not None
    lines = [one | {"row": one["row"] | fields} for one in rejected(imported)]
    imported.rejects.write_bytes(b"\n".join(map(orjson.dumps, lines)))
    return imported.rejects


def items(importer: Importer) -> list[str]:
    return [event.item_id for event in importer.stored()]


def test_files_of_one_name_keep_their_rejects_apart(tmp_path: Path, importer: Importer) -> None:
    first = importer(written(tmp_path / "a" / "orders.csv", BAD))
    second = importer(written(tmp_path / "b" / "orders.csv", GOOD + BAD))

    assert [one["line"] for one in rejected(first)] == [2]
    assert [one["line"] for one in rejected(second)] == [3]


def test_importing_a_file_again_replaces_its_own_rejects_alone(
    tmp_path: Path, importer: Importer
) -> None:
    importer(written(tmp_path / "a" / "orders.csv", BAD))
    second = importer(written(tmp_path / "b" / "orders.csv", BAD))

    again = importer(written(tmp_path / "b" / "orders.csv", GOOD + BAD))
    importer(written(tmp_path / "a" / "orders.csv", GOOD))

    assert again.rejects == second.rejects
    assert list((tmp_path / "rejects").iterdir()) == [again.rejects]


def test_file_that_is_no_list_of_rejects_is_left_alone(tmp_path: Path, importer: Importer) -> None:
    (tmp_path / "rejects").mkdir()
    foreign = tmp_path / "rejects" / "orders.csv.rejects.jsonl"
    foreign.write_text("notes\n")

    importer(written(tmp_path / "orders.csv", BAD))

    assert foreign.read_text() == "notes\n"


def test_mended_rejects_go_in(tmp_path: Path, importer: Importer) -> None:
    imported = importer(written(tmp_path / "orders.csv", GOOD + BAD + BAD))

    again = importer(mended(imported, time="2024-05-01"))

    assert again.counts == ImportCounts(2, 2, 0, 0)
    assert items(importer) == ["tea", "rye", "rye"]


def test_mended_rejects_and_the_mended_file_count_once(tmp_path: Path, importer: Importer) -> None:
    imported = importer(written(tmp_path / "orders.csv", GOOD + BAD))
    importer(mended(imported, time="2024-05-01"))

    whole = importer(
        written(tmp_path / "orders.csv", GOOD + BAD.replace("yesterday", "2024-05-01"))
    )

    assert whole.counts == ImportCounts(2, 0, 2, 0)


def test_rejects_that_are_still_wrong_are_rejected_with_the_line_they_had(
    tmp_path: Path, importer: Importer
) -> None:
    imported = importer(written(tmp_path / "orders.csv", GOOD + BAD + "too,short\n"))
    assert imported.rejects is not None

    again = importer(imported.rejects)

    assert [(one["line"], one["field"]) for one in rejected(again)] == [(3, "time"), (2, "")]
    assert again.counts == ImportCounts(2, 0, 0, 2)


@pytest.mark.parametrize("row", [["a list"], None, 7], ids=str)
def test_reject_without_a_row_is_rejected_again(
    row: object, tmp_path: Path, importer: Importer
) -> None:
    file = tmp_path / "orders.csv.rejects.jsonl"
    good = {"type": "like", "time": "2024-05-01", "item_id": "tea", "user_id": "ann"}
    file.write_bytes(orjson.dumps({"line": 2, "row": good}) + b"\n" + orjson.dumps({"row": row}))

    imported = importer(file)

    assert imported.counts == ImportCounts(2, 1, 0, 1)


def test_mended_documents_of_another_system_go_in(tmp_path: Path, importer: Importer) -> None:
    call = {"type": "track", "event": "Product Viewed", "userId": "ann", "timestamp": "2024-05-01"}
    file = tmp_path / "segment.jsonl"
    file.write_bytes(orjson.dumps(call))
    imported = importer(file, shape=Shape.SEGMENT)

    again = importer(mended(imported, properties={"product_id": "tea"}), shape=Shape.SEGMENT)

    assert again.counts == ImportCounts(1, 1, 0, 0)
