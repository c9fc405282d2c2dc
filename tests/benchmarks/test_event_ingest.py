from __future__ import annotations

import json
import os
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import event_ingest
from benchmarks.durable_append import Case, Compared
from benchmarks.event_batches import N_DRAWN, EventBatches
from benchmarks.harness import Spread
from benchmarks.ingest_run import IngestRun, poison_ratios, turn
from benchmarks.kept_events import Sent, found_in_log_and_lake, judged
from benchmarks.load import Tally
from benchmarks.processes import Window
from protos.recsys.v1 import event_service_pb2 as pb
from recsys.events import Event, EventType, Record
from recsys.ids import ItemId
from serving.api.event_codec import MOST_EVENTS, decode_events
from serving.clock import utc_now
from serving.lake.lake import Lake
from serving.log.records import Lines
from serving.log.writer import Writer

BATCHES = EventBatches("a", 100, 1_000, seed=7, now=1_770_000_000)


@pytest.fixture(autouse=True)
def same_process_afterwards() -> Iterator[None]:
    """Give the test's process back its cores."""
    mine = os.sched_getaffinity(0)
    yield
    os.sched_setaffinity(0, mine)


def events(request: bytes) -> list[pb.Event]:
    return list(pb.WriteEventsRequest.FromString(request).events)


def test_batches_of_all_clients_hold_different_ids_and_customers() -> None:
    batch_of, other_of = BATCHES.drawn(), BATCHES.of_client(1).drawn()

    drawn = [*events(batch_of(0)), *events(batch_of(1)), *events(batch_of(N_DRAWN))]
    ids = [event.event_id for event in (*drawn, *events(other_of(0)))]

    assert len(set(ids)) == 400
    assert len({event.visitor_id for event in drawn}) == 200


def test_batch_holds_what_it_says() -> None:
    number = N_DRAWN + 3

    sent = events(BATCHES.drawn()(number))

    assert [event.event_id for event in sent] == BATCHES.event_ids(number)
    for customer in (300, 399):
        (told,) = BATCHES.events_of(customer, [number, number + 1])
        (same,) = (event for event in sent if event.event_id == told.event_id)
        assert (told.type, told.time, told.item_id) == (same.type, same.time, same.item_id)


def test_one_event_in_a_hundred_is_poison_and_the_others_are_good() -> None:
    poisoned = replace(BATCHES, poisoned=True)

    for number in range(4):
        request = pb.WriteEventsRequest.FromString(poisoned.drawn()(number))
        decoded = decode_events(request, now=utc_now())

        assert [event.index for event in decoded.rejected] == [50]
        assert [event.event_id for event in decoded.valid] == poisoned.event_ids(number)


def test_events_that_are_lost_doubled_or_invented_are_found(tmp_path: Path) -> None:
    batches = replace(BATCHES, size=3)
    writer = Writer(tmp_path / "log" / "log.sqlite", clock=utc_now)
    written = [*batches.event_ids(0)[:2], *batches.event_ids(5)]
    writer.append(Lines.of([Record(stored(event_id)) for event_id in written]))
    writer.close()
    Lake(tmp_path / "lake").open()

    found = found_in_log_and_lake(tmp_path, [Sent(batches, [0], [1])])

    assert (found.acknowledged, found.lost, found.doubled, found.invented) == (3, 1, 0, 3)
    assert found.wrong == 4


def test_event_at_two_positions_is_found() -> None:
    first, second = replace(BATCHES, size=2).event_ids(0)

    found = judged({1: first, 2: second, 3: first}, [Sent(replace(BATCHES, size=2), [0], [])])

    assert (found.lost, found.doubled, found.invented) == (0, 1, 0)


def test_clean_and_poisoned_windows_take_turns_at_being_the_later_one() -> None:
    order = "".join("p" if poisoned else "c" for place in range(4) for poisoned in turn(place))

    assert order == "cppccppc"


def test_poison_is_compared_with_its_neighbour() -> None:
    run = IngestRun(Namespace(batch=100, items=10, seed=7))
    run.clean = [window(answers=100), window(answers=40)]
    run.poisoned = [window(answers=90), window(answers=50)]

    assert poison_ratios(run, by_cpu=False) == [0.9, 1.25]


def test_log_ratios_that_count_are_those_of_one_appender() -> None:
    compared = [
        Compared(case, {"log": rate(log), "raw_redis": rate(10), "redis_py": rate(5)})
        for log, case in enumerate(event_ingest.LOG_CASES, start=1)
    ]

    named = event_ingest._log_metrics(compared)

    assert [(case.batch, case.appenders) for case in event_ingest.LOG_CASES] == [
        (100, 1), (100, 16), (1_000, 1), (1_000, 16),
    ]  # fmt: skip
    assert named["log_ratio_to_redis_fsync"] == 0.6
    assert named["log_ratio_to_redis_fsync_batch_100"] == 0.2
    assert named["log_ratio_to_raw_redis_fsync"] == 0.3
    assert named["log_ratio_to_raw_redis_fsync_batch_100"] == 0.1
    assert named["log_ratio_to_redis_py_batch_1000_appenders_16"] == 0.8


def test_largest_batch_is_the_most_that_a_request_may_hold() -> None:
    assert Case(MOST_EVENTS, 1) == event_ingest.LARGEST


def test_tiny_run_keeps_everything_that_was_acknowledged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "ingest.json"
    sizes = ["--seconds", "2", "--repeats", "1", "--samples", "10", "--clients", "1"]

    event_ingest.main([*sizes, "--no-log", "--json", str(path)])

    metrics = json.loads(path.read_text())["metrics"]
    assert metrics["acknowledged"] > 0
    assert [metrics[name] for name in ("lost", "doubled", "invented", "missing_in_states")] == [
        0, 0, 0, 0,
    ]  # fmt: skip
    assert metrics["errors"] == 0
    assert metrics["grpc_events_per_second_core"] > 0
    assert "supervisor" in capsys.readouterr().out


def rate(median: float) -> Spread:
    return Spread(median - 1, median, median + 1)


def window(*, answers: int) -> Window:
    return Window(1.0, 0.0, {"worker": 1.0}, (Tally(answers=answers),))


def stored(event_id: str) -> Event:
    return Event(event_id, EventType.CLICK, utc_now(), ItemId("bread"), user_id="ann")
