"""The SQLite log under faults, several processes, and its trimming."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import apsw
import pytest

from recsys.catalog import Item
from recsys.errors import Unavailable
from recsys.events import Event, EventType, Position, Record, RecordKind
from recsys.ids import ItemId
from serving.log.records import Lines, digest_of
from serving.log.sqlite_log import SqliteLog
from serving.log.tail import LogTail
from serving.log.writer import Writer

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
TODAY = 19_844
START = Position(0)


def bought(event_id: str, item_id: str = "bread") -> Record:
    return Record(Event(event_id, EventType.PURCHASE, NOON, ItemId(item_id), user_id="ann"))


def writer(path: Path) -> Writer:
    return Writer(path, clock=lambda: NOON)


APPEND_IN_A_PROCESS = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from recsys.events import Event, EventType, Record
from serving.log.records import Lines
from serving.log.writer import Writer

noon = datetime(2024, 5, 1, 12, tzinfo=UTC)
writer = Writer(Path(sys.argv[1]), clock=lambda: noon)
for number in range(int(sys.argv[2]), int(sys.argv[3])):
    event = Event(f"e{number}", EventType.PURCHASE, noon, f"item {number % 40}", user_id="ann")
    writer.append(Lines.of([Record(event)]))
"""

FILL_THE_DISK = """
import resource
import sys
from datetime import UTC, datetime
from pathlib import Path
from recsys.errors import Unavailable
from recsys.events import Event, EventType, Record
from serving.log.records import Lines
from serving.log.writer import Writer

noon = datetime(2024, 5, 1, 12, tzinfo=UTC)
writer = Writer(Path(sys.argv[1]), clock=lambda: noon)

def append(first):
    events = [
        Event(f"e{n}", EventType.PURCHASE, noon, f"item {n}", user_id="ann")
        for n in range(first, first + 2000)
    ]
    return writer.append(Lines.of([Record(event) for event in events])).n_new

assert append(0) == 2000
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (700_000, hard))
try:
    append(2000)
except Unavailable as error:
    print(error.reason)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
print(append(2000))
"""


def test_two_processes_appending_at_once_lose_and_double_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    command = [sys.executable, "-c", APPEND_IN_A_PROCESS, str(path)]

    both = [
        subprocess.Popen([*command, first, last]) for first, last in (("0", "200"), ("100", "300"))
    ]
    codes = [process.wait(timeout=60) for process in both]

    tail = LogTail(path)
    records = tail.records(START, 1_000)
    rows = {item_id: row for row, item_id in tail.vocabulary(-1)}
    tail.close()
    assert codes == [0, 0]
    assert sorted(record.fact.event_id for record in records) == sorted(  # type: ignore[union-attr]
        f"e{number}" for number in range(300)
    )
    assert all(record.item_row == rows[record.fact.item_id] for record in records)
    assert sorted(rows.values()) == list(range(40))


def test_full_disk_refuses_the_append_whole_and_the_next_one_succeeds(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"

    ran = subprocess.run(
        [sys.executable, "-c", FILL_THE_DISK, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    tail = LogTail(path)
    records = tail.records(START, 10_000)
    vocabulary = tail.vocabulary(-1)
    tail.close()
    assert ran.stdout.split() == ["LOG_UNAVAILABLE", "2000"], ran.stderr
    assert [record.position for record in records] == list(range(1, 4_001))
    assert [row for row, _ in vocabulary] == list(range(4_000))


async def test_failed_commit_answers_every_waiting_caller(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    log = SqliteLog(path, clock=lambda: NOON)
    await log.append([bought("1")])
    breaker = apsw.Connection(str(path))
    breaker.execute("ALTER TABLE records RENAME TO gone")

    with pytest.raises(Unavailable):
        await log.append([bought("2")])
    breaker.execute("ALTER TABLE gone RENAME TO records")
    breaker.close()
    appended = await log.append([bought("2")])

    assert len(appended.new) == 1
    await log.close()


async def test_closed_log_says_so(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "log.sqlite", clock=lambda: NOON)
    await log.close()

    with pytest.raises(Unavailable, match="closed"):
        await log.append([bought("1")])


def test_item_rows_stay_the_same_when_the_log_is_opened_again(tmp_path: Path) -> None:
    first = writer(tmp_path / "log.sqlite")
    before = first.append(Lines.of([bought("1", "bread"), bought("2", "milk")])).item_rows
    first.close()

    second = writer(tmp_path / "log.sqlite")
    after = second.append(Lines.of([bought("3", "milk"), bought("4", "bread")])).item_rows
    second.close()

    assert (before, after) == ([0, 1], [1, 0])


def test_trimmed_positions_are_not_used_again(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    appending, tail = writer(path), LogTail(path)
    appending.append(Lines.of([bought("1"), bought("2")]))

    trimmed = tail.trim(events_through=Position(2), items_through=Position(0))
    placed = appending.append(Lines.of([bought("3")]))

    assert trimmed == 2
    assert placed.positions == [3]
    appending.close()
    tail.close()


def test_trimming_events_keeps_item_records_that_a_release_may_need(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    appending, tail = writer(path), LogTail(path)
    appending.append(
        Lines.of([Record(Item(ItemId("a"))), bought("1"), Record(Item(ItemId("b"))), bought("2")])
    )

    tail.trim(events_through=Position(3), items_through=Position(1))

    left = [(record.position, record.kind) for record in tail.records(START, 10)]
    assert left == [(3, RecordKind.ITEM), (4, RecordKind.EVENT)]
    appending.close()
    tail.close()


def test_swept_event_id_counts_as_new_again(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    appending, tail = writer(path), LogTail(path)
    appending.append(Lines.of([bought("1")]))

    kept, swept = tail.sweep_digests(TODAY), tail.sweep_digests(TODAY + 1)

    assert (kept, swept) == (0, 1)
    assert appending.append(Lines.of([bought("1")])).n_new == 1
    appending.close()
    tail.close()


def test_mark_never_goes_back(tmp_path: Path) -> None:
    tail = LogTail(tmp_path / "log.sqlite")

    tail.set_mark("drained_through", Position(9))
    tail.set_mark("drained_through", Position(4))

    assert tail.drained_through == 9
    tail.close()


def test_event_ids_are_remembered_in_sixteen_bytes() -> None:
    assert len(digest_of("order-1-line-1")) == 16
