"""After an import the rows reach the lake: here, or through the server that holds the folder."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from deltalake import DeltaTable

from recsys.events import Event, EventType, Position, Record
from recsys.ids import ItemId
from serving.importing.delivery import deliver, log_path, tidy
from serving.lake.drain import Drain
from serving.lake.lake import Lake
from serving.lock import DataFolderLock
from serving.log.records import Lines
from serving.log.tail import LogTail
from serving.log.writer import Writer
from serving.settings import read_settings

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def append_one(data_folder: Path) -> Position:
    writer = Writer(log_path(data_folder), clock=lambda: NOON)
    event = Event("1", EventType.LIKE, NOON, ItemId("tea"), user_id="ann")
    placed = writer.append(Lines.of([Record(event)]))
    writer.close()
    return placed.last_position


def test_free_folder_is_drained_here(tmp_path: Path) -> None:
    last = append_one(tmp_path)
    told: list[tuple[int, bool]] = []

    deliver(tmp_path, last, lambda position, elsewhere: told.append((position, elsewhere)))

    assert told == [(1, False)]


def test_running_server_is_asked_and_waited_for(tmp_path: Path) -> None:
    last = append_one(tmp_path)
    told: list[tuple[int, bool, bool]] = []
    tail, lake = LogTail(log_path(tmp_path)), Lake(tmp_path / "lake")
    lake.open()

    def serve(position: Position, elsewhere: bool) -> None:
        drain = Drain(tail, lake)
        told.append((position, elsewhere, drain.waiting().asked))
        drain.run_once()

    with DataFolderLock(tmp_path):
        deliver(tmp_path, last, serve)

    assert told == [(0, True, True)]
    tail.close()


def test_server_that_stops_is_replaced(tmp_path: Path) -> None:
    last = append_one(tmp_path)
    told: list[tuple[int, bool]] = []
    lock = DataFolderLock(tmp_path)
    lock.__enter__()

    def stop_the_server(position: Position, elsewhere: bool) -> None:
        told.append((position, elsewhere))
        if elsewhere:
            lock.__exit__(None, None, None)

    deliver(tmp_path, last, stop_the_server)

    assert told == [(0, True), (1, False)]


def customers(data_folder: Path) -> int:
    return DeltaTable(data_folder / "lake" / "customers").count()


def test_tidying_a_free_folder_counts_its_customers(tmp_path: Path) -> None:
    deliver(tmp_path, append_one(tmp_path), lambda *_: None)

    tidy(read_settings(data_folder=tmp_path))

    assert customers(tmp_path) == 1


def test_tidying_is_left_to_the_server_that_runs(tmp_path: Path) -> None:
    deliver(tmp_path, append_one(tmp_path), lambda *_: None)

    with DataFolderLock(tmp_path):
        tidy(read_settings(data_folder=tmp_path))

    assert customers(tmp_path) == 0
