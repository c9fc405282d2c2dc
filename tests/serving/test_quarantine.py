"""Rejected events are listed, mended and sent again; what went in leaves quarantine."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from protos.recsys.v1 import event_service_pb2 as pb
from recsys.errors import InvalidInput, NotFound
from recsys.events import Event, Position
from serving import quarantine
from serving.api.event_codec import decoded
from serving.log.event_log import Rejected
from serving.log.records import Lines
from serving.log.tail import LogTail
from serving.log.writer import Writer
from serving.quarantine import (
    Replayed,
    document_of,
    documents_in,
    kept_in,
    kept_oldest_first,
    replay,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(days=5)


class Shop:
    """A log that rejects what a test sends it at noon."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "log.sqlite"
        self.writer = Writer(self.file, clock=lambda: NOON)
        self.tail = LogTail(self.file)

    def rejects(self, **fields: Any) -> None:
        known = {"event_id": "e1", "type": pb.EVENT_TYPE_LIKE, "user_id": "ann"}
        (one,) = decoded([pb.Event(**{**known, **fields})], now=NOON).rejected
        kept = Rejected(one.payload, one.reason, one.message, one.field, NOON)
        self.writer.append(Lines.of([]), [kept])

    def documents(self) -> list[dict[str, Any]]:
        """Return what is in quarantine as it would be read from a file, newest first."""
        loaded: list[dict[str, Any]] = orjson.loads(
            orjson.dumps([document_of(one) for one in kept_in(self.tail)])
        )
        return loaded

    def replays(self, *documents: dict[str, Any]) -> Replayed:
        return replay(documents, self.file, lambda: LATER)

    def events(self) -> list[Event]:
        facts = [record.fact for record in self.tail.records(Position(0), 1_000)]
        return [fact for fact in facts if isinstance(fact, Event)]

    def numbers(self) -> list[int]:
        return [one.number for one in kept_in(self.tail)]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    one = Shop(tmp_path)
    yield one
    one.tail.close()
    one.writer.close()


def mended(document: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {**document, "event": {**document["event"], **fields}}


def test_document_says_what_is_wrong_beside_the_event_of_the_wire(shop: Shop) -> None:
    shop.rejects()

    (document,) = shop.documents()

    assert document["event"] == {"event_id": "e1", "type": "EVENT_TYPE_LIKE", "user_id": "ann"}
    assert (document["number"], document["field"], document["reason"]) == (
        1,
        "item_id",
        "INVALID_INPUT",
    )
    assert document["received"] == "2026-03-01T12:00:00+00:00"


def test_mended_event_goes_in_and_leaves_quarantine(shop: Shop) -> None:
    shop.rejects()
    shop.rejects(event_id="e2")
    second, first = shop.documents()

    found = shop.replays(mended(first, item_id="tea"), second)

    assert (found.new, found.known, found.resolved) == (1, 0, 1)
    assert [(wrong.number, wrong.field) for wrong in found.wrong] == [(2, "item_id")]
    assert [(event.event_id, event.item_id) for event in shop.events()] == [("e1", "tea")]
    assert shop.numbers() == [2]


def test_replaying_twice_adds_nothing(shop: Shop) -> None:
    shop.rejects()
    fixed = mended(shop.documents()[0], item_id="tea")
    shop.replays(fixed)

    again = shop.replays(fixed)

    assert (again.new, again.known, again.resolved) == (0, 1, 0)
    assert len(shop.events()) == 1


def test_event_without_a_time_counts_when_it_came_first(shop: Shop) -> None:
    shop.rejects()

    shop.replays(mended(shop.documents()[0], item_id="tea"))

    assert shop.events()[0].time == NOON


def test_time_that_lay_ahead_does_not_become_right_by_waiting(shop: Shop) -> None:
    shop.rejects(item_id="tea", time={"seconds": int((NOON + timedelta(days=3)).timestamp())})

    found = shop.replays(*shop.documents())

    assert [wrong.field for wrong in found.wrong] == ["time"]
    assert shop.numbers() == [1]


def test_number_of_another_folder_takes_nothing_out(shop: Shop) -> None:
    shop.rejects()
    foreign = {
        **mended(shop.documents()[0], event_id="other", item_id="tea"),
        "received": (NOON - timedelta(days=1)).isoformat(),
    }

    found = shop.replays(foreign)

    assert (found.new, found.resolved) == (1, 0)
    assert shop.numbers() == [1]


def test_event_written_by_hand_needs_no_number_and_counts_now(shop: Shop) -> None:
    event = {"event_id": "e9", "type": "EVENT_TYPE_LIKE", "user_id": "ann", "item_id": "tea"}

    found = shop.replays({"event": event}, {"event": {**event, "event_id": "e10"}})

    assert (found.new, found.resolved) == (2, 0)
    assert {one.time for one in shop.events()} == {LATER}


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({}, "event"),
        ({"event": "text"}, "event"),
        ({"event": {"no_such_field": 1}}, "event"),
        ({"event": {}, "received": "yesterday"}, "received"),
        ({"event": {}, "received": 7}, "received"),
        ({"event": {"event_id": "e1"}, "number": "1"}, "type"),
        ({"event": {"type": 10**30}}, "event"),
        ({"event": {"type": "\ud800"}}, "event"),
        ({"event": {"quantity": [1]}}, "event"),
        ({"event": {"price": {"a": 1}}}, "event"),
        ({"event": {"time": {"seconds": 1}}}, "event"),
        ({"event": {}, "received": [7]}, "received"),
    ],
)
def test_what_is_no_event_stays_wrong_by_field(
    shop: Shop, document: dict[str, Any], field: str
) -> None:
    found = shop.replays(document)

    assert [(wrong.number, wrong.field) for wrong in found.wrong] == [(0, field)]


def test_number_that_none_can_have_takes_nothing_out(shop: Shop) -> None:
    shop.rejects()
    fixed = {**mended(shop.documents()[0], item_id="tea"), "number": 1 << 70}

    found = shop.replays(fixed)

    assert (found.new, found.resolved, shop.numbers()) == (1, 0, [1])


def test_event_that_was_kept_cut_cannot_be_sent_again_and_says_so(shop: Shop) -> None:
    shop.rejects(item_id="x" * 100_000)

    (wrong,) = shop.replays(*shop.documents()).wrong

    assert (wrong.number, wrong.field) == (1, "truncated")
    assert "item_id" in wrong.message


def test_no_more_is_read_than_is_asked_for(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "_A_PAGE", 2)
    for number in range(5):
        shop.rejects(event_id=f"e{number}")

    some = kept_in(shop.tail, 3)

    assert next(some).number == 5
    shop.tail.resolve([4, 3, 2])
    assert [one.number for one in some] == [4, 1]


def test_of_two_events_with_one_id_the_first_goes_in(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "_A_PAGE", 1)
    for item_id in ("first", "second"):
        shop.rejects(item_id=item_id, time={"seconds": int(LATER.timestamp())})
    documents = map(document_of, kept_oldest_first(shop.tail))

    shop.replays(*(mended(dict(one), time=NOON.isoformat()) for one in documents))

    assert [event.item_id for event in shop.events()] == ["first"]


def test_everything_is_found_however_much_is_kept(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "_A_PAGE", 2)
    for number in range(5):
        shop.rejects(event_id=f"e{number}")

    found = shop.replays(*(mended(one, item_id="tea") for one in shop.documents()))

    assert (found.new, found.resolved, shop.numbers()) == (5, 5, [])


def test_file_is_read_line_by_line_and_a_broken_one_is_told(tmp_path: Path, shop: Shop) -> None:
    shop.rejects()
    file = tmp_path / "rejected.jsonl"
    fixed = mended(shop.documents()[0], item_id="tea")
    file.write_bytes(orjson.dumps(fixed) + b"\n{broken\n")

    found = shop.replays(*documents_in(file))  # type: ignore[arg-type]

    assert (found.new, len(found.wrong)) == (1, 1)
    assert "{broken" in found.wrong[0].message


def test_file_that_is_not_there_or_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rejected.jsonl.gz").write_bytes(b"no gzip")

    with pytest.raises(NotFound, match="--out"):
        list(documents_in(tmp_path / "gone.jsonl"))
    with pytest.raises(InvalidInput):
        list(documents_in(tmp_path / "rejected.jsonl.gz"))
