"""`recsys events`, as a person calls it."""

from __future__ import annotations

import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from protos.recsys.v1 import event_service_pb2 as pb
from recsys.errors import InvalidInput, NotFound, Unavailable
from recsys.events import Channel, Event, EventType, Record
from recsys.ids import ItemId
from serving.api.event_codec import decoded
from serving.cli import app
from serving.events_commands import _followed
from serving.importing.delivery import log_path
from serving.lake.history import EventHistory, Wanted
from serving.log.event_log import Rejected
from serving.log.records import Lines
from serving.log.tail import LogTail
from serving.log.writer import Writer

NOW = datetime.now(UTC).replace(microsecond=0)


def bought(number: int) -> Event:
    return Event(
        f"e{number}",
        EventType.PURCHASE,
        NOW - timedelta(seconds=number),
        ItemId("tea"),
        user_id=f"user {number}",
        quantity=2.0,
        price=2.5,
        channel=Channel.STORE,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a data folder with three purchases and two rejected likes."""
    likes = [pb.Event(event_id=f"r{n}", type=pb.EVENT_TYPE_LIKE, user_id="ann") for n in range(2)]
    rejected = [
        Rejected(one.payload, one.reason, one.message, one.field, NOW)
        for one in decoded(likes, now=NOW).rejected
    ]
    append(tmp_path, [bought(number) for number in range(3)], rejected)
    return tmp_path


def append(folder: Path, events: list[Event], rejected: list[Rejected]) -> None:
    writer = Writer(log_path(folder), clock=lambda: NOW)
    writer.append(Lines.of([Record(event) for event in events]), rejected)
    writer.close()


def called(folder: Path, *words: str) -> Any:
    return CliRunner().invoke(app, ["events", *words, "--data-folder", str(folder)])


@pytest.mark.parametrize("command", ["tail", "stats", "quarantine", "replay"])
def test_help_of_a_command_shows_how_to_call_it(command: str) -> None:
    shown = CliRunner().invoke(app, ["events", command, "--help"])

    assert shown.exit_code == 0
    assert f"Example: recsys events {command}" in shown.output


@pytest.mark.parametrize("command", [("tail",), ("stats",), ("quarantine",), ("replay", "--all")])
def test_folder_without_a_log_is_told_and_left_as_it_is(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    ran = called(tmp_path, *command)

    assert isinstance(ran.exception, NotFound)
    assert list(tmp_path.iterdir()) == []


def test_tail_shows_the_newest_with_what_they_say(folder: Path) -> None:
    ran = called(folder, "tail", "-n", "2")

    lines = ran.output.splitlines()
    assert [line.split()[0] for line in lines] == ["2", "3"]
    assert "purchase" in lines[1]
    assert "tea  user user 2  store  quantity 2  price 2.5" in lines[1]


def test_tail_in_json_says_what_is_not_default_and_of_whom_is_asked_for(folder: Path) -> None:
    ran = called(folder, "tail", "--json", "--user", "user 1")

    (row,) = map(orjson.loads, ran.output.splitlines())
    assert (row["event_id"], row["channel"], row["price"]) == ("e1", "store", 2.5)
    assert "query" not in row


def said(folder: Path, **fields: Any) -> tuple[str, dict[str, Any]]:
    """Return the line, and the JSON, of an event that says this."""
    append(folder, [replace(bought(9), **fields)], [])
    text = called(folder, "tail", "-n", "1").output
    return text, orjson.loads(called(folder, "tail", "-n", "1", "--json").output)


@pytest.mark.parametrize("price", [0.0, 1.0])
def test_tail_shows_a_price_of_nothing_and_of_one(folder: Path, price: float) -> None:
    text, document = said(folder, price=price)

    assert f"price {price:g}" in text
    assert document["price"] == price


def test_tail_shows_the_worst_rating(folder: Path) -> None:
    text, document = said(folder, type=EventType.RATING, rating=1.0)

    assert "rating 1" in text
    assert document["rating"] == 1.0


def test_tail_leaves_out_what_is_not_given(folder: Path) -> None:
    text, document = said(folder, quantity=1.0, price=None)

    assert "quantity" not in text
    assert not {"price", "query", "robot", "order_id"} & set(document)


def test_tail_in_json_tells_the_first_item_of_all(folder: Path) -> None:
    assert said(folder)[1]["item_row"] == 0


def test_tail_shows_numbers_as_they_were_given(folder: Path) -> None:
    text, document = said(folder, quantity=1.1, price=1_234_567.89)

    assert "quantity 1.1  price 1234567.89" in text
    assert (document["quantity"], document["price"]) == (1.1, 1_234_567.89)


@pytest.mark.parametrize("words", [("quarantine",), ("quarantine", "--json"), ("stats",)])
def test_terminal_gets_nothing_to_obey(folder: Path, words: tuple[str, ...]) -> None:
    evil = "\x1b]0;evil\x07\x9b2J\x7f\u202e"
    payload = orjson.dumps({"item_id": evil}).decode()
    append(folder, [], [Rejected(payload, evil, evil, evil, NOW)])

    shown = called(folder, *words).output

    assert "evil" in shown
    assert [line for line in shown.splitlines() if not line.isprintable()] == []


def test_following_gives_what_comes_until_ctrl_c(folder: Path) -> None:
    tail = LogTail(log_path(folder))
    numbers = [7, 8]

    def pause() -> None:
        if not numbers:
            raise KeyboardInterrupt
        append(folder, [bought(numbers.pop(0))], [])

    history = EventHistory(tail, folder / "lake")
    rows = list(_followed(history, Wanted(), tail.last_position(), pause=pause))

    tail.close()
    assert [row["event_id"] for row in rows] == ["e7", "e8"]


def test_stats_tell_events_quarantine_and_positions(folder: Path) -> None:
    ran = called(folder, "stats", "--days", "2")

    assert ran.exit_code == 0, ran.output
    assert "3 events of the last 2 days" in ran.output
    assert "item_id INVALID_INPUT" in ran.output
    assert "last position 3" in ran.output
    assert "the store is not running" in ran.output


def test_quarantine_is_listed_newest_first_and_said_to_be_empty(folder: Path) -> None:
    lines = called(folder, "quarantine", "--limit", "1").output.splitlines()
    called(folder, "quarantine", "--drop-all")
    emptied = called(folder, "quarantine").output

    assert [line.split()[0] for line in lines] == ["2"]
    assert "item_id" in lines[0]
    assert "quarantine is empty" in emptied


def test_chosen_numbers_are_dropped(folder: Path) -> None:
    ran = called(folder, "quarantine", "--drop", "1", "--drop", "9")

    assert "1 rejected events thrown away" in ran.output
    left = called(folder, "quarantine", "--json").output.splitlines()
    assert [orjson.loads(line)["number"] for line in left] == [2]


def test_exported_mended_and_replayed_events_go_in_once(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "rejected.jsonl"
    called(folder, "quarantine", "--out", str(file))
    file.write_bytes(file.read_bytes().replace(b'"user_id"', b'"item_id":"tea","user_id"'))

    first = called(folder, "replay", str(file)).output
    again = called(folder, "replay", str(file)).output

    assert "2 went in, 0 were known already, 0 are still wrong; 2 left quarantine" in first
    assert "0 went in, 2 were known already" in again
    assert "5" in called(folder, "tail", "-n", "1").output.split()[0]


def test_replay_of_all_says_what_is_still_wrong(folder: Path) -> None:
    ran = called(folder, "replay", "--all")

    assert "2 are still wrong" in ran.output
    assert "  1: item_id: got ''" in ran.output


def test_replay_wants_a_file_or_all(folder: Path) -> None:
    assert isinstance(called(folder, "replay").exception, InvalidInput)
    assert isinstance(called(folder, "replay", "x.jsonl", "--all").exception, InvalidInput)


def test_export_that_cannot_be_written_says_so_and_leaves_nothing(
    folder: Path, tmp_path: Path
) -> None:
    ran = called(folder, "quarantine", "--out", str(tmp_path / "no" / "rejected.jsonl"))

    assert isinstance(ran.exception, Unavailable)


def test_export_is_for_its_owner_alone_and_never_over_another_file(
    folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "rejected.jsonl"
    called(folder, "quarantine", "--out", str(file))
    numbers = [orjson.loads(line)["number"] for line in file.read_bytes().splitlines()]
    mode = stat.S_IMODE(file.stat().st_mode)
    file.write_text("mended")

    ran = called(folder, "quarantine", "--out", str(file))

    assert isinstance(ran.exception, InvalidInput)
    assert (mode, numbers, file.read_text()) == (0o600, [1, 2], "mended")


@pytest.mark.parametrize("words", [("tail", "-n", "9" * 20), ("stats", "--days", "9" * 9)])
def test_more_than_there_can_be_is_refused(folder: Path, words: tuple[str, ...]) -> None:
    assert called(folder, *words).exit_code == 2


@pytest.mark.parametrize(
    "event",
    [
        '{"type": 1' + "0" * 60 + "}",
        '{"type": 1' + "0" * 6_000 + "}",
        '{"quantity": {"a": {"b": [1]}}}',
        '{"user_id": [["ann"]]}',
        '{"time": 7}',
        '{"robot": "perhaps"}',
        '{"item_id": "\\ud800"}',
        "[" * 400 + "]" * 400,
        '{"x": ' + "[" * 400 + "]" * 400 + "}",
        '{"type": NaN}',
    ],
)
def test_whatever_stands_in_a_mended_file_is_told_as_still_wrong(
    folder: Path, tmp_path: Path, event: str
) -> None:
    file = tmp_path / "mended.jsonl"
    file.write_text(f'{{"number": 2, "event": {event}}}\n')

    ran = called(folder, "replay", str(file))

    assert ran.exception is None, ran.exception
    assert "0 went in, 0 were known already, 1 are still wrong" in ran.output
    assert all(len(line) < 600 for line in ran.output.splitlines())
