"""An id in JSON is a text or a whole number; anything else is told, and the other rows count."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from recsys.errors import InvalidInput
from recsys.events import Event
from serving.importing.job import ImportCounts
from serving.importing.mapping import FieldMapping
from serving.shapes import events_of_ga4, events_of_segment
from tests.serving.importing.importer import Importer, rejected

GOOD = {"type": "like", "time": 1714564800, "item_id": "tea", "user_id": "ann"}
IDS = ("event_id", "item_id", "user_id", "visitor_id", "session_id", "order_id", "campaign_id")
UNFIT: list[Any] = [{"id": 7}, ["tea"], True, 1.5, 2**70, 1e300, [], {}]


def written(folder: Path, *rows: dict[str, Any]) -> Path:
    file = folder / "events.jsonl"
    # As orjson does not write numbers beyond 64 bits, which other programs do.
    file.write_text("".join(f"{one}\n" for one in map(json.dumps, rows)))
    return file


@pytest.mark.parametrize("beside", [{}, {"event_id": "e9", "order_id": "o", "item_id": 5}])
@pytest.mark.parametrize("value", UNFIT, ids=str)
@pytest.mark.parametrize("name", IDS)
def test_id_of_another_kind_is_told_and_the_other_rows_count(
    name: str, value: Any, beside: dict[str, Any], tmp_path: Path, importer: Importer
) -> None:
    bad, other = {"event_id": "e1", **GOOD, name: value}, {**GOOD, "event_id": "e2", **beside}

    imported = importer(written(tmp_path, GOOD | {"event_id": "e0"}, bad, other))

    assert imported.counts == ImportCounts(3, 2, 0, 1)
    (told,) = rejected(imported)
    assert (told["line"], told["field"]) == (2, name)
    assert told["wanted"] == "a text, or a whole number with at most 15 digits"
    assert told["came"] not in (None, "")


def test_whole_number_is_the_id_of_its_digits_whatever_else_its_column_holds(
    tmp_path: Path, importer: Importer
) -> None:
    rows = [GOOD | {"item_id": item} for item in (5, 5.0, "5", 9_007_199_254_740_993, ["x"], None)]

    importer(written(tmp_path, *rows))

    assert [event.item_id for event in importer.stored()] == ["5", "5", "5", "9007199254740993"]


def test_id_of_another_kind_in_a_mapped_column_of_an_array_is_told_by_its_place(
    tmp_path: Path, importer: Importer
) -> None:
    file = tmp_path / "events.json"
    rows = [{**GOOD, "sku": sku} for sku in ("tea", {"a": 1}, 7, "bread")]
    file.write_bytes(orjson.dumps([*rows[:3], "no row", rows[3]]))

    imported = importer(file, FieldMapping({"item_id": "sku"}, automatic=True))

    assert imported.counts == ImportCounts(5, 3, 0, 2)
    assert [(one["line"], one["came"]) for one in rejected(imported)] == [
        (2, '{"a":1}'),
        (4, '"no row"'),
    ]


GA4 = {"event_name": "view_cart", "event_timestamp": 1714564800000000, "user_pseudo_id": "v"}
SEGMENT = {
    "type": "track", "event": "Cart Viewed", "messageId": "m", "anonymousId": "v",
    "timestamp": "2024-05-01T12:00:00Z",
}  # fmt: skip


@pytest.mark.parametrize("value", UNFIT[:4], ids=str)
@pytest.mark.parametrize(
    ("name", "shaped"),
    [("user_id", events_of_ga4), ("user_pseudo_id", events_of_ga4), ("userId", events_of_segment)],
)
def test_id_of_another_kind_in_a_foreign_document_is_refused_by_its_name(
    name: str, shaped: Callable[[dict[str, Any]], list[Event]], value: Any
) -> None:
    document = GA4 if shaped is events_of_ga4 else SEGMENT

    with pytest.raises(InvalidInput) as caught:
        shaped({**document, name: value})

    assert (caught.value.field, caught.value.came) == (name, value)
