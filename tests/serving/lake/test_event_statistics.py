"""Counts are over log and lake together, each event once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from recsys.events import Channel, Event, EventType, Record
from recsys.ids import ItemId
from serving.lake.drain import Drain
from serving.lake.event_statistics import EventStatistics, event_statistics
from serving.lake.lake import Lake
from serving.log.records import Lines
from serving.log.tail import LogTail
from serving.log.writer import Writer

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
FIRST = datetime(2026, 3, 2, tzinfo=UTC)
LIKE = Event("e1", EventType.LIKE, NOON, ItemId("tea"), user_id="ann", channel=Channel.WEB)
EVENTS = [
    LIKE,
    replace(LIKE, event_id="e2", time=NOON - timedelta(minutes=59), robot=True),
    replace(LIKE, event_id="e3", time=NOON - timedelta(hours=2), user_id="", visitor_id="ann"),
    replace(LIKE, event_id="e4", time=NOON - timedelta(days=1, hours=1), type=EventType.CLICK),
    replace(LIKE, event_id="e5", time=FIRST, channel=Channel.UNSPECIFIED),
    replace(LIKE, event_id="e6", time=FIRST - timedelta(seconds=1)),
]
EXPECTED = EventStatistics(
    events=5,
    customers=2,
    robots=1,
    late=3,
    very_late=2,
    repeats=0,
    by_day={date(2026, 3, 2): 2, date(2026, 3, 3): 3},
    by_type={"like": 4, "click": 1},
    by_channel={"web": 4, "": 1},
)


@pytest.fixture
def tail(tmp_path: Path) -> Iterator[LogTail]:
    one = LogTail(tmp_path / "log.sqlite")
    yield one
    one.close()


def append(folder: Path, events: list[Event], at: datetime = NOON) -> None:
    writer = Writer(folder / "log.sqlite", clock=lambda: at)
    writer.append(Lines.of([Record(event) for event in events]))
    writer.close()


def drain(folder: Path, tail: LogTail) -> None:
    lake = Lake(folder / "lake")
    lake.open()
    Drain(tail, lake).run_once()


@pytest.mark.parametrize("n_drained", [0, 1, 3, 6])
def test_counts_are_the_same_wherever_the_events_are(
    n_drained: int, tmp_path: Path, tail: LogTail
) -> None:
    append(tmp_path, EVENTS[:n_drained])
    drain(tmp_path, tail)
    append(tmp_path, EVENTS[n_drained:])

    assert event_statistics(tail, tmp_path / "lake", FIRST) == EXPECTED


def test_event_that_came_again_after_it_was_forgotten_is_a_repeat(
    tmp_path: Path, tail: LogTail
) -> None:
    append(tmp_path, [LIKE])
    drain(tmp_path, tail)
    tail.sweep(today=(NOON + timedelta(days=9)).toordinal() - date(1970, 1, 1).toordinal())
    append(tmp_path, [LIKE], at=NOON + timedelta(days=9))

    found = event_statistics(tail, tmp_path / "lake", FIRST)

    assert (found.events, found.repeats) == (2, 1)


def test_nothing_counts_to_nothing(tmp_path: Path, tail: LogTail) -> None:
    found = event_statistics(tail, tmp_path / "lake", FIRST)

    assert (found.events, found.by_day, found.by_type) == (0, {}, {})


def test_days_before_the_window_are_not_even_opened(tmp_path: Path, tail: LogTail) -> None:
    append(tmp_path, EVENTS)
    drain(tmp_path, tail)
    (before,) = (tmp_path / "lake" / "events" / "day=2026-03-01").glob("*.parquet")
    before.write_bytes(b"no Parquet")

    assert event_statistics(tail, tmp_path / "lake", FIRST) == EXPECTED
