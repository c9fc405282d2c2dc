"""Quarantine is bounded in rows and bytes, and what is asked of it reads no payloads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from serving.log import quarantine
from serving.log.event_log import Rejected
from serving.log.records import Lines
from serving.log.tail import LogTail
from serving.log.writer import Writer

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
BAD = Rejected("{}", "INVALID_INPUT", "event_id: got ''", "event_id", NOON)


class Shop:
    """A log that is told what was rejected."""

    def __init__(self, path: Path) -> None:
        self.writer = Writer(path, clock=lambda: NOON)
        self.tail = LogTail(path)

    def rejects(self, *sizes: int) -> None:
        """Keep rejected events with payloads of so many bytes, in one commit."""
        kept = [replace(BAD, payload="ü" * (size // 2)) for size in sizes]
        self.writer.append(Lines.of([]), kept)

    def numbers(self) -> list[int]:
        return [one.number for one in self.tail.quarantined(99)]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """Give a log whose quarantine takes 100 bytes of payload, and six events."""
    monkeypatch.setattr(quarantine, "MOST_KEPT", 6)
    monkeypatch.setattr(quarantine, "MOST_KEPT_BYTES", 100)
    one = Shop(tmp_path / "log.sqlite")
    yield one
    one.tail.close()
    one.writer.close()


def test_what_fits_exactly_stays(shop: Shop) -> None:
    shop.rejects(40)
    shop.rejects(40, 20)

    assert shop.numbers() == [3, 2, 1]


def test_oldest_go_where_the_bytes_are_too_many(shop: Shop) -> None:
    shop.rejects(40, 40)
    shop.rejects(20)

    shop.rejects(62)

    assert shop.numbers() == [4, 3]


def test_oldest_go_within_one_commit(shop: Shop) -> None:
    shop.rejects(60, 60, 60)

    assert shop.numbers() == [3]


def test_oldest_go_where_they_are_too_many(shop: Shop) -> None:
    shop.rejects(*[2] * 9)

    assert shop.numbers() == [9, 8, 7, 6, 5, 4]


def test_bytes_are_counted_on_when_the_newest_were_taken_out(shop: Shop) -> None:
    shop.rejects(40, 40, 20)
    shop.tail.resolve([3])

    shop.rejects(20)
    shop.rejects(2)

    assert shop.numbers() == [5, 4, 2]


def test_kept_events_are_counted_by_field_and_reason(shop: Shop) -> None:
    shop.writer.append(Lines.of([]), [BAD, BAD, replace(BAD, field="time")])

    assert shop.tail.quarantine_counts() == {
        ("event_id", "INVALID_INPUT"): 2,
        ("time", "INVALID_INPUT"): 1,
    }


def test_receipt_is_known_of_the_numbers_that_are_kept(shop: Shop) -> None:
    shop.rejects(2, 2)

    assert shop.tail.quarantine_received([2, 3, 0, -1, 1 << 70]) == {2: NOON}


def test_number_that_none_can_have_takes_nothing_out(shop: Shop) -> None:
    shop.rejects(2)

    assert shop.tail.resolve([1 << 70, -1, 0]) == 0


def test_all_are_taken_out_at_once_and_no_number_comes_again(shop: Shop) -> None:
    shop.rejects(2, 2)

    taken = shop.tail.resolve_all()
    shop.rejects(2)

    assert (taken, shop.numbers()) == (2, [3])
