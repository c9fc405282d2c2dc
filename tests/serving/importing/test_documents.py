"""Exports of Google Analytics 4 and Segment into the log, through the command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from deltalake import DeltaTable
from typer.testing import CliRunner

from recsys.errors import InvalidInput, NotFound
from serving.importing.command import import_app
from serving.importing.job import ImportCounts
from serving.importing.mapping import FieldMapping
from serving.importing.prepared import Shape
from tests.serving.importing.importer import Importer, rejected

VIEW = {
    "event_name": "view_item",
    "event_timestamp": "1714564800000000",
    "user_pseudo_id": "v1",
    "items": [{"item_id": "tea"}, {"item_id": "rye"}],
}
TRACK = {
    "type": "track",
    "messageId": "m1",
    "event": "Product Viewed",
    "userId": "ann",
    "timestamp": "2024-05-01T10:00:00Z",
    "properties": {"product_id": "tea"},
}


def written(path: Path, *documents: Any) -> Path:
    path.write_bytes(b"\n".join(map(orjson.dumps, documents)))
    return path


@pytest.mark.parametrize(
    ("shape", "document", "n_events"), [(Shape.GA4, VIEW, 2), (Shape.SEGMENT, TRACK, 1)]
)
def test_importing_an_export_again_adds_nothing(
    shape: Shape, document: Any, n_events: int, tmp_path: Path, importer: Importer
) -> None:
    file = written(tmp_path / "export.jsonl", document)

    first, again = importer(file, shape=shape), importer(file, shape=shape)

    assert first.counts == ImportCounts(n_events, n_events, 0, 0)
    assert again.counts == ImportCounts(n_events, 0, n_events, 0)


def test_what_means_nothing_is_counted_by_name_and_what_is_broken_is_rejected_by_line(
    tmp_path: Path, importer: Importer
) -> None:
    scroll = {"event_name": "scroll"}
    broken = {**VIEW, "items": [{"item_id": "tea"}, {"item_name": "nameless"}]}
    file = written(tmp_path / "export.jsonl", scroll, VIEW, broken, scroll, "no document")

    imported = importer(file, shape=Shape.GA4)

    assert imported.skipped == {"scroll": 2}
    assert imported.counts == ImportCounts(5, 2, 1, 2)
    said = sorted((one["line"], one["field"]) for one in rejected(imported))
    assert said == [(3, "items[1].item_id"), (5, "")]
    assert broken in [one["row"] for one in rejected(imported)]


def test_time_far_ahead_is_rejected_and_one_somewhat_ahead_counts_as_now(
    tmp_path: Path, importer: Importer
) -> None:
    file = written(
        tmp_path / "export.jsonl",
        {**TRACK, "messageId": "m2", "timestamp": "2024-05-02T11:00:00Z"},
        {**TRACK, "messageId": "m3", "timestamp": "2024-05-03T11:00:00Z"},
    )

    imported = importer(file, shape=Shape.SEGMENT)

    assert [event.time for event in importer.stored()] == [importer.now]
    assert [(one["line"], one["field"]) for one in rejected(imported)] == [(2, "time")]


def test_export_that_is_no_json_or_not_there_is_refused(tmp_path: Path, importer: Importer) -> None:
    (tmp_path / "export.csv").write_text("event_name\n")

    with pytest.raises(InvalidInput, match="ndjson"):
        importer(tmp_path / "export.csv", shape=Shape.GA4)
    with pytest.raises(NotFound, match="gone"):
        importer(tmp_path / "gone.json", shape=Shape.GA4)


def command(*arguments: str) -> Any:
    return CliRunner().invoke(import_app, ["events", *arguments])


def test_command_brings_an_export_to_the_lake_and_says_how_fast(tmp_path: Path) -> None:
    file = written(tmp_path / "export.json", VIEW, {"event_name": "page_view"})

    ran = command(str(file), "--format", "ga4", "--data-folder", str(tmp_path))

    assert ran.exit_code == 0, ran.output
    assert "skipped, since it tells nothing: page_view 1" in ran.output
    assert " a second" in ran.output
    assert DeltaTable(tmp_path / "lake" / "events").to_pyarrow_table().num_rows == 2


def test_command_with_nothing_but_what_is_skipped_succeeds(tmp_path: Path) -> None:
    file = written(tmp_path / "export.json", {"event_name": "page_view"})

    ran = command(str(file), "--format", "ga4", "--data-folder", str(tmp_path))

    assert ran.exit_code == 0, ran.output


def test_command_refuses_a_mapping_beside_a_format(tmp_path: Path) -> None:
    file = written(tmp_path / "export.json", VIEW)

    ran = command(str(file), "--format", "ga4", "--column", "item_id=sku")

    assert isinstance(ran.exception, InvalidInput)


def test_document_moved_to_where_no_event_may_lie_is_rejected(
    tmp_path: Path, importer: Importer
) -> None:
    mapping = FieldMapping(automatic=True, shift_days=-30_000)

    imported = importer(written(tmp_path / "export.jsonl", TRACK), mapping, Shape.SEGMENT)

    assert imported.counts == ImportCounts(1, 0, 0, 1)
    assert [one["field"] for one in rejected(imported)] == ["time"]


@pytest.mark.parametrize("days", ["3000000", "-99999999999"])
def test_days_beyond_every_calendar_are_refused(days: str, tmp_path: Path) -> None:
    file = written(tmp_path / "export.json", VIEW)

    ran = command(str(file), f"--shift-days={days}", "--data-folder", str(tmp_path))

    assert ran.exit_code == 2
