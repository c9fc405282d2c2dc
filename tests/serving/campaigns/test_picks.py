from __future__ import annotations

import csv
import os
from datetime import timedelta
from pathlib import Path

import pytest

from recsys.customers import ConsentChange, ConsentStatement, Identifier, IdKind, Purpose
from recsys.errors import InvalidInput, NotFound, NotReady
from recsys.events import EventType, Record
from recsys.ids import ItemId
from recsys.items import OfferUpdate
from recsys.releases import move_pointer
from serving.campaigns.picks import PicksJob, write_picks
from serving.importing.delivery import deliver
from serving.log.records import Lines
from serving.log.writer import Writer
from serving.settings import ServingSettings, read_settings
from tests import shop


@pytest.fixture
def settings(short_folder: Path) -> ServingSettings:
    """Give settings of a data folder in which anna has bought coffee, and no server runs."""
    placements = short_folder / "placements.toml"
    placements.write_text(shop.PLACEMENTS)
    chosen = read_settings(data_folder=short_folder, placements=str(placements), redis_url="")
    writer = Writer(chosen.log_file, clock=lambda: shop.NOW)
    writer.change_items(shop.items())
    bought = shop.event(EventType.PURCHASE, "coffee", "anna")
    last = writer.append(Lines.of([Record(bought)])).last_position
    agreed = ConsentStatement(Purpose.EMAIL, granted=True, time=shop.NOW - timedelta(days=9))
    writer.change_customers(
        [ConsentChange(Identifier(IdKind.USER, user), agreed) for user in ("anna", "ben", "cara")]
    )
    writer.close()
    deliver(short_folder, last, lambda position, elsewhere: None)
    return chosen


def release(settings: ServingSettings) -> None:
    shop.bundle("v1").save(settings.releases_folder / "v1")
    move_pointer(settings.releases_folder, "v1", reason="test", now=shop.NOW)


async def written(settings: ServingSettings, job: PicksJob) -> list[dict[str, str]]:
    await write_picks(settings, job, lambda: shop.NOW, lambda doing, done, of: None)
    with job.out.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


async def test_without_a_server_the_job_brings_states_up_to_date_and_leaves_none_running(
    settings: ServingSettings, tmp_path: Path
) -> None:
    release(settings)

    (row,) = await written(settings, PicksJob("email", tmp_path / "picks.csv"))

    assert (row["user_id"], row["rec_1_id"], row["rec_1_price"]) == ("anna", "milk", "5.00")
    assert not (settings.data_folder / "valkey" / "valkey.pid").exists()


async def test_item_that_sold_out_since_training_is_not_picked(
    settings: ServingSettings, tmp_path: Path
) -> None:
    release(settings)
    writer = Writer(settings.log_file, clock=lambda: shop.NOW)
    writer.change_items([OfferUpdate(ItemId("milk"), stock=0.0)])
    writer.close()

    (row,) = await written(settings, PicksJob("email", tmp_path / "picks.csv"))

    assert row["rec_1_id"] == "sugar"
    assert "milk" not in row.values()


async def test_customer_who_never_agreed_to_mails_is_left_out(
    settings: ServingSettings, tmp_path: Path
) -> None:
    release(settings)
    (tmp_path / "ids").write_text("dora\nanna\n")
    job = PicksJob("email", tmp_path / "picks.csv", tmp_path / "ids")

    counts = await write_picks(settings, job, lambda: shop.NOW, lambda doing, done, of: None)

    assert (counts.customers, counts.unsubscribed) == (1, 1)
    assert "dora" not in job.out.read_text()


async def test_customer_who_unsubscribed_is_left_out_and_counted(
    settings: ServingSettings, tmp_path: Path
) -> None:
    release(settings)
    writer = Writer(settings.log_file, clock=lambda: shop.NOW)
    gone = shop.event(EventType.UNSUBSCRIBE, "", "ben", event_id="e2")
    writer.append(Lines.of([Record(gone)]))
    writer.close()
    ids = tmp_path / "ids.txt"
    ids.write_text("ben\nanna\n")
    job = PicksJob("email", tmp_path / "picks.csv", ids)

    counts = await write_picks(settings, job, lambda: shop.NOW, lambda doing, done, of: None)

    assert (counts.customers, counts.unsubscribed) == (1, 1)
    assert "ben" not in job.out.read_text()


async def test_file_of_ids_says_who_is_asked_for_each_once(
    settings: ServingSettings, tmp_path: Path
) -> None:
    release(settings)
    ids = tmp_path / "ids.txt"
    ids.write_text("ben\n\nanna\nben\ncara\n")

    rows = await written(settings, PicksJob("email", tmp_path / "picks.csv", ids, limit=2))

    assert [row["user_id"] for row in rows] == ["ben", "anna"]


async def test_id_that_is_none_is_named_by_its_line(
    settings: ServingSettings, tmp_path: Path
) -> None:
    release(settings)
    ids = tmp_path / "ids.txt"
    ids.write_text("anna\n" + "x" * 200 + "\n")

    with pytest.raises(InvalidInput, match=r"ids\.txt:2"):
        await written(settings, PicksJob("email", tmp_path / "picks.csv", ids))


async def test_without_a_release_there_is_no_file_but_a_next_step(
    settings: ServingSettings, tmp_path: Path
) -> None:
    with pytest.raises(NotReady, match="recsys train"):
        await written(settings, PicksJob("email", tmp_path / "picks.csv"))

    assert os.listdir(tmp_path) == []


async def test_unknown_placement_is_refused_with_those_that_exist(
    settings: ServingSettings, tmp_path: Path
) -> None:
    with pytest.raises(NotFound, match="email, home, product"):
        await written(settings, PicksJob("e-mail", tmp_path / "picks.csv"))
