"""A lake that was made before a column was there is read and written on."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from recsys.events import EventType
from recsys.robots import RobotRule
from serving.lake import schema
from serving.lake.drain import Drain
from serving.lake.history import EventHistory, Wanted
from serving.lake.lake import Lake
from serving.lake.recent import recent_customers
from tests.serving.lake.drained import NOON, House, event, house
from training.datasets.lake import read_dataset

OLDER = pa.schema([field for field in schema.EVENTS if field.name != "market"])


def columns(shop: House) -> list[str]:
    return list(shop.table("events").schema.names)


@pytest.fixture
def older(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a data folder with a drained event, made when events had no market."""
    with monkeypatch.context() as before:
        before.setattr(schema, "EVENTS", OLDER)
        with house(tmp_path) as shop:
            shop.drain(event("e1", user_id="ann"))
            assert "market" not in columns(shop)
    return tmp_path


def test_older_lake_gets_the_column_keeps_its_rows_and_takes_new_ones(older: Path) -> None:
    with house(older) as shop:
        shop.drain(event("e2", user_id="bob", market="DE"))

        found = shop.table("events").sort_by("position").to_pylist()

    assert [(row["event_id"], row["market"]) for row in found] == [("e1", None), ("e2", "DE")]


def test_column_is_added_once(older: Path) -> None:
    with house(older) as shop:
        version = shop.lake.versions()["events"]

        Lake(older / "lake").open()

        assert shop.lake.versions()["events"] == version


def test_everybody_reads_old_and_new_files_as_one(older: Path) -> None:
    with house(older) as shop:
        for number in range(2, 5):
            earlier = NOON - timedelta(days=number)
            shop.drain(event(f"e{number}", user_id=f"u{number}", time=earlier, market="DE"))
        Drain(shop.tail, shop.lake).trim(shop.tail.last_position())
        seen = EventHistory(shop.tail, older / "lake").latest(Wanted(), 9)
        shop.lake.write_customers(RobotRule())
        shop.tidy()

        recent = recent_customers(older / "log" / "log.sqlite", older / "lake", 9)

        assert [row["market"] for row in seen] == [None, "DE", "DE", "DE"]
        assert recent == ["ann", "u2", "u3", "u4"]
        assert len(shop.table("customers")) == 4
        assert shop.event_ids() == ["e1", "e2", "e3", "e4"]


def test_older_lake_is_trained_on_with_newer_rows(older: Path) -> None:
    with house(older) as shop:
        bought = event("e2", EventType.PURCHASE, user_id="bob", market="DE")
        shop.drain(dataclasses.replace(bought, time=NOON + timedelta(hours=1)))

    dataset = read_dataset(older / "lake", RobotRule.none())

    assert len(dataset.interactions.users) == 2
