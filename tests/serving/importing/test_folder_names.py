"""A data folder may have any name that its owner likes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from recsys.errors import InvalidInput
from recsys.events import Position
from serving.clock import utc_now
from serving.importing.command import import_app
from serving.importing.delivery import log_path
from serving.lake.by_customer import PastCustomers
from serving.lake.drain import Drain
from serving.lake.event_statistics import event_statistics
from serving.lake.history import EventHistory, Wanted
from serving.lake.keeping import Keeping
from serving.lake.lake import Lake
from serving.lake.recent import recent_customers
from serving.lake.replay import event_files
from serving.log.tail import LogTail
from training.datasets.lake import read_dataset

NAMES = ["my shop", "Käse", "a#1", "100%", "50%zz", "it's", "a=1", "type=like", "*", "a+b&c"]
EVENTS = [("like", "ann"), ("purchase", "bob")]


@pytest.fixture(params=NAMES)
def data_folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with two imported events on one item, which are in the lake and nowhere else."""
    folder = tmp_path / str(request.param) / "data"
    (tmp_path / "items.csv").write_text("item_id,title\ntea,Tea\n")
    now = utc_now()
    (tmp_path / "events.csv").write_text(
        f"type,time,item_id,user_id\nlike,{now:%Y-%m-%d},tea,ann\n"
        f"purchase,{now - timedelta(days=1):%Y-%m-%d},tea,bob\n"
    )
    command("catalog", tmp_path / "items.csv", folder)
    command("events", tmp_path / "events.csv", folder)
    return folder


@pytest.fixture
def tail(data_folder: Path) -> Iterator[LogTail]:
    one = LogTail(log_path(data_folder))
    Drain(one, Lake(data_folder / "lake")).trim(Position(3))
    yield one
    one.close()


def command(what: str, file: Path, folder: Path) -> Any:
    flags = [str(file), "--data-folder", str(folder)]
    return CliRunner().invoke(import_app, [what, *flags], catch_exceptions=False)


def test_everything_that_reads_the_lake_finds_its_files(data_folder: Path, tail: LogTail) -> None:
    lake = data_folder / "lake"
    past = PastCustomers(lake, Position(3), latest=2**31, spill_folder=data_folder / "spill")

    shown = EventHistory(tail, lake).latest(Wanted(), 10)

    assert [(row["type"], row["user_id"]) for row in shown] == EVENTS
    assert event_statistics(tail, lake, utc_now() - timedelta(days=9)).events == 2
    assert recent_customers(log_path(data_folder), lake, 9) == ["ann", "bob"]
    assert event_files(lake / "events").count_rows() == past.count_events() == 2
    assert read_dataset(lake).user_ids == ("ann", "bob")


def test_days_out_of_keeping_leave_the_lake_of_any_folder(data_folder: Path) -> None:
    lake = Lake(data_folder / "lake")
    lake.open()

    keeping = Keeping(versions=timedelta(0), events_days=1)
    list(lake.tidy(keeping, utc_now() + timedelta(days=30)))

    assert list(lake.events.glob("day=*")) == []


@pytest.mark.parametrize("name", ["a[b", "a?b", "a]b", "a^b", "a|b", "a\\b", "a%20b", "%fF"])
def test_folder_that_the_engine_cannot_open_is_refused_before_anything_is_written(
    name: str, tmp_path: Path
) -> None:
    file = tmp_path / "events.csv"
    file.write_text("type,time,item_id,user_id\nlike,2024-05-01,tea,ann\n")

    with pytest.raises(InvalidInput, match="data_folder"):
        command("events", file, tmp_path / name)

    assert not (tmp_path / name).exists()
