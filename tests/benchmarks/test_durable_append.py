from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import durable_append
from benchmarks.durable_append import Case, Compared, event, measure, metrics, table
from benchmarks.harness import Spread
from serving.log.records import NEWLINE, decode, encode

RATES = {
    "log": Spread(50, 100, 150),
    "raw_redis": Spread(190, 200, 210),
    "redis_py": Spread(30, 40, 50),
    "sqlite": Spread(290, 300, 310),
}


def test_all_rates_of_a_case_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable_append, "_MOST_EVENTS", 100)

    alone, together = measure(tmp_path, repeats=1, cases=[Case(10, 1), Case(10, 2)])

    assert list(alone.rates) == ["log", "raw_redis", "redis_py", "sqlite"]
    assert list(together.rates) == ["log", "raw_redis", "redis_py"]
    assert min(rate.least for one in (alone, together) for rate in one.rates.values()) > 0


def test_ratios_of_a_case_are_those_of_the_medians() -> None:
    named = metrics([Compared(Case(10, 1), RATES)])

    assert named["log_ratio_to_raw_redis_batch_10_appenders_1"] == 0.5
    assert named["log_ratio_to_redis_py_batch_10_appenders_1"] == 2.5
    assert named["sqlite_ratio_to_raw_redis_batch_10_appenders_1"] == 1.5
    assert named["sqlite_ratio_to_redis_py_batch_10_appenders_1"] == 7.5
    assert named["redis_py_events_per_second_batch_10_appenders_1"] == 40


def test_ratios_stand_in_their_own_columns_where_sqlite_took_no_part() -> None:
    without = {name: rate for name, rate in RATES.items() if name != "sqlite"}

    made = table([Compared(Case(10, 16), without), Compared(Case(10, 1), RATES)])

    cells = {str(column.header): list(column.cells) for column in made.columns}
    assert cells["SQLite alone"] == ["", "290 / 300 / 310"]
    assert cells["log / raw"] == ["0.50", "0.50"]
    assert cells["log / redis-py"] == ["2.50", "2.50"]
    assert cells["SQLite / raw"] == ["", "1.50"]
    assert cells["SQLite / redis-py"] == ["", "7.50"]


def test_events_differ_have_the_same_length_and_could_be_accepted() -> None:
    payloads = {encode(event(number)) for number in range(50)}

    assert len(payloads) == 50
    assert {len(payload) for payload in payloads} == {129}
    for number in range(50):
        event(number).check()
        assert decode(encode(event(number))) == event(number)


def test_redis_is_told_to_add_the_bytes_that_the_log_gets() -> None:
    lines = durable_append._lines(iter((7, 8)), 2)

    commands = durable_append._commands(lines)

    first, second = lines.payload.split(NEWLINE)
    start = b"*5\r\n$4\r\nXADD\r\n$6\r\nevents\r\n$1\r\n*\r\n$1\r\ne\r\n$129\r\n"
    assert commands == start + first + b"\r\n" + start + second + b"\r\n"
