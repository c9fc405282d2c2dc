"""The SQLite log under faults, several processes, and its trimming."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import apsw
import pytest

from recsys.errors import Unavailable
from recsys.events import Event, EventType, Position, Record
from recsys.ids import ItemId
from serving.log import quarantine, sqlite_log
from serving.log.database import connect
from serving.log.event_log import Rejected
from serving.log.records import Lines, digest_of, microseconds
from serving.log.sqlite_log import SqliteLog
from serving.log.tail import LogTail
from serving.log.writer import Writer

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
TODAY = 19_844
START = Position(0)
BAD = Rejected("{}", "INVALID_INPUT", "event_id: got ''", "event_id", NOON)


def bought(event_id: str, item_id: str = "bread") -> Record:
    return Record(Event(event_id, EventType.PURCHASE, NOON, ItemId(item_id), user_id="ann"))


def writer(path: Path) -> Writer:
    return Writer(path, clock=lambda: NOON)


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Let no commit through inside the block."""
    holder = connect(path)
    holder.execute("BEGIN IMMEDIATE")
    yield
    holder.execute("COMMIT")
    holder.close()


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
    assert sorted(record.fact.event_id for record in records) == sorted(
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
    breaker.execute("ALTER TABLE blocks RENAME TO gone")

    answers = await asyncio.gather(
        log.append([bought("2")], [BAD]), log.append([bought("3")]), return_exceptions=True
    )
    breaker.execute("ALTER TABLE gone RENAME TO blocks")
    breaker.close()
    appended = await log.append([bought("2")])

    assert [type(answer) for answer in answers] == [Unavailable, Unavailable]
    assert (len(appended.new), await log.quarantined(9)) == (1, [])
    await log.close()


async def test_more_waiting_lines_than_the_bound_are_refused_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_log, "MOST_WAITING_LINES", 3)
    log = SqliteLog(tmp_path / "log.sqlite", clock=lambda: NOON)

    with held(tmp_path / "log.sqlite"):
        waiting = [asyncio.create_task(log.append([bought(one)])) for one in "123"]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable) as refused:
            await log.append([bought("4")])
    answers = await asyncio.gather(*waiting)
    later = await log.append([bought("4")])

    assert (refused.value.reason, log.n_busy) == ("LOG_BUSY", 1)
    assert [len(answer.new) for answer in (*answers, later)] == [1, 1, 1, 1]
    await log.close()


async def test_cancelled_append_leaves_its_neighbours_alone(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "log.sqlite", clock=lambda: NOON)

    with held(tmp_path / "log.sqlite"):
        waiting = [asyncio.create_task(log.append([bought(one)])) for one in "123"]
        await asyncio.sleep(0)
        waiting[1].cancel()
        await asyncio.sleep(0)
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    again = await log.append([bought("1"), bought("2"), bought("3")])

    assert isinstance(answers[1], asyncio.CancelledError)
    assert again.n_duplicates >= 2
    assert len(await log.read(START, 10)) == 3
    await log.close()


async def test_closing_commits_what_waits(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "log.sqlite", clock=lambda: NOON)

    with held(tmp_path / "log.sqlite"):
        waiting = [asyncio.create_task(log.append([bought(one)])) for one in "12"]
        await asyncio.sleep(0)
        closing = asyncio.create_task(log.close())
        await asyncio.sleep(0)
    await closing
    answers = await asyncio.gather(*waiting)

    assert [len(answer.new) for answer in answers] == [1, 1]


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


def test_log_of_an_older_layout_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    old = apsw.Connection(str(path))
    old.execute("CREATE TABLE records(position INTEGER PRIMARY KEY); CREATE TABLE marks(name)")
    old.close()

    with pytest.raises(Unavailable) as to_write:
        writer(path).append(Lines.of([bought("1")]))
    with pytest.raises(Unavailable) as to_read:
        LogTail(path)

    assert (to_write.value.reason, to_read.value.reason) == ("LOG_OUTDATED", "LOG_OUTDATED")


def test_folder_that_cannot_be_made_is_unavailable_and_may_come_back(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("in the way")
    appending = writer(tmp_path / "log" / "log.sqlite")

    with pytest.raises(Unavailable):
        appending.append(Lines.of([bought("1")]))
    (tmp_path / "log").unlink()

    assert appending.append(Lines.of([bought("1")])).n_new == 1
    appending.close()


def test_what_a_dead_process_left_is_in_the_database_before_more_is_appended(
    tmp_path: Path,
) -> None:
    dying = writer(tmp_path / "log.sqlite")
    dying.append(Lines.of([bought("1")]))
    left = tmp_path / "left"
    left.mkdir()
    for name in ("log.sqlite", "log.sqlite-wal"):
        shutil.copy(tmp_path / name, left / name)

    heir = writer(left / "log.sqlite")
    heir.append(Lines.of([bought("2")]))
    shutil.copy(left / "log.sqlite", tmp_path / "database-alone.sqlite")

    tail = LogTail(tmp_path / "database-alone.sqlite")
    assert [record.fact for record in tail.records(START, 9)] == [bought("1").fact]
    for one in (dying, heir, tail):
        one.close()


def test_id_written_by_another_writer_is_a_duplicate(tmp_path: Path) -> None:
    one, other = writer(tmp_path / "log.sqlite"), writer(tmp_path / "log.sqlite")
    one.append(Lines.of([bought("1")]))
    other.append(Lines.of([bought("2")]))

    placed = one.append(Lines.of([bought("2"), bought("3"), bought("1")]))

    assert placed.positions == [0, 3, 0]
    one.close()
    other.close()


def test_id_is_known_for_seven_days_and_new_after_that(tmp_path: Path) -> None:
    now = NOON
    appending = Writer(tmp_path / "log.sqlite", clock=lambda: now)
    appending.append(Lines.of([bought("1")]))

    now = NOON + timedelta(days=7)
    on_the_seventh = appending.append(Lines.of([bought("1")]))
    now = NOON + timedelta(days=8)
    on_the_eighth = appending.append(Lines.of([bought("1")]))

    assert (on_the_seventh.n_new, on_the_eighth.n_new) == (0, 1)
    appending.close()


def test_many_records_are_kept_in_blocks_of_ten_thousand(tmp_path: Path) -> None:
    appending, tail = writer(tmp_path / "log.sqlite"), LogTail(tmp_path / "log.sqlite")

    appending.append(Lines.of([bought(str(one)) for one in range(20_001)]))

    spans = tail._connection.execute("SELECT first, last FROM blocks").fetchall()
    assert spans == [(1, 10_000), (10_001, 20_000), (20_001, 20_001)]
    assert tail.records(Position(20_000), 9)[0].fact.event_id == "20000"
    appending.close()
    tail.close()


def test_rows_inside_a_block_are_read_without_their_neighbours(tmp_path: Path) -> None:
    appending, tail = writer(tmp_path / "log.sqlite"), LogTail(tmp_path / "log.sqlite")
    appending.append(Lines.of([bought(str(one), f"item {one}") for one in range(6)]))

    rows = tail.events(Position(2), Position(4))

    assert (rows.positions.tolist(), rows.item_rows.tolist()) == ([3, 4], [2, 3])
    assert rows.received.tolist() == [microseconds(NOON)] * 2
    assert [line.count(b"item") for line in rows.payloads[0].split(b"\n")] == [2, 2]
    appending.close()
    tail.close()


def test_lines_that_do_not_match_their_records_are_refused() -> None:
    with pytest.raises(ValueError, match="number of lines"):
        Lines(["tea"], b"0" * 16, b"{}\n{}")
    with pytest.raises(ValueError, match="bytes of digests"):
        Lines(["tea"], b"", b"{}")


def test_block_that_ends_behind_is_not_trimmed(tmp_path: Path) -> None:
    appending, tail = writer(tmp_path / "log.sqlite"), LogTail(tmp_path / "log.sqlite")
    appending.append(Lines.of([bought("1"), bought("2")]))
    appending.append(Lines.of([bought("3"), bought("4")]))

    trimmed = tail.trim(Position(3))

    assert (trimmed, tail.trimmed_through) == (2, 2)
    assert [record.position for record in tail.records(START, 9)] == [3, 4]
    appending.close()
    tail.close()


def test_rejected_events_are_kept_thirty_days(tmp_path: Path) -> None:
    appending, tail = writer(tmp_path / "log.sqlite"), LogTail(tmp_path / "log.sqlite")
    appending.append(Lines.of([]), [BAD])

    tail.sweep(TODAY + 30)
    on_the_thirtieth = tail.quarantined(9)
    tail.sweep(TODAY + 31)

    assert (len(on_the_thirtieth), tail.quarantined(9)) == (1, [])
    appending.close()
    tail.close()


def test_quarantine_keeps_the_newest_up_to_its_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "MOST_KEPT", 3)
    appending, tail = writer(tmp_path / "log.sqlite"), LogTail(tmp_path / "log.sqlite")

    appending.append(Lines.of([]), [BAD, BAD])
    appending.append(Lines.of([]), [BAD, BAD])

    assert [one.number for one in tail.quarantined(9)] == [4, 3, 2]
    appending.close()
    tail.close()


def test_trimmed_positions_are_not_used_again(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    appending, tail = writer(path), LogTail(path)
    appending.append(Lines.of([bought("1"), bought("2")]))

    trimmed = tail.trim(Position(2))
    placed = appending.append(Lines.of([bought("3")]))

    assert trimmed == 2
    assert list(placed.positions) == [3]
    appending.close()
    tail.close()


def test_swept_event_id_counts_as_new_again(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    appending, tail = writer(path), LogTail(path)
    appending.append(Lines.of([bought("1")]))
    appending.close()

    kept, swept = tail.sweep(TODAY + 7), tail.sweep(TODAY + 8)

    assert (kept, swept) == (0, 1)
    appending = writer(path)
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
