from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import durable_append
from benchmarks.durable_append import Case, measure, metrics


def test_both_rates_of_a_case_are_told_with_their_ratio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable_append, "_MOST_EVENTS", 100)

    found = measure(tmp_path, repeats=1, cases=[Case(batch=10, appenders=2)])

    told = metrics(found)
    ours = told["log_events_per_second_batch_10_appenders_2"]
    theirs = told["redis_events_per_second_batch_10_appenders_2"]
    assert told["log_ratio_to_redis_batch_10_appenders_2"] == pytest.approx(ours / theirs)
    assert min(ours, theirs) > 0


def test_payloads_differ_and_have_the_same_length() -> None:
    payloads = {durable_append._payload(number) for number in range(50)}

    assert len(payloads) == 50
    assert {len(payload) for payload in payloads} == {durable_append.PAYLOAD_BYTES}
