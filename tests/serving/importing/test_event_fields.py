"""Every field of an event can come from a file, by the rules that hold for gRPC."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.errors import InvalidInput
from recsys.events import Channel, EventType
from serving.importing.job import ImportCounts
from serving.importing.mapping import FieldMapping, parse_mapping
from tests.serving.importing.importer import NOON, Importer, rejected


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_fields_beyond_the_purchase_are_taken(tmp_path: Path, importer: Importer) -> None:
    file = written(
        tmp_path / "events.csv",
        "type,time,item_id,user_id,rating,query,category,campaign_id,outlet,robot,market\n"
        "rating,2024-05-01,tea,ann,4.5,,,,,,\n"
        "search,2024-05-01,,ann,,green tea,,,,no,\n"
        "category_view,2024-05-01,,ann,,,Tea > Green,,,,\n"
        "email_opened,2024-05-01,,ann,,,,spring,,,\n"
        "purchase,2024-05-01,tea,ann,,,,,store 12,yes,DE\n",
    )

    importer(file)

    rated, searched, viewed, opened, bought = importer.stored()
    assert (rated.type, rated.rating) == (EventType.RATING, 4.5)
    assert (searched.query, searched.item_id, searched.robot) == ("green tea", "", False)
    assert viewed.category == "Tea > Green"
    assert opened.campaign_id == "spring"
    assert (bought.outlet, bought.robot, bought.market) == ("store 12", True, "DE")


def test_words_of_the_file_for_types_and_channels_become_ours(
    tmp_path: Path, importer: Importer
) -> None:
    file = written(
        tmp_path / "events.csv",
        "type,time,item_id,user_id,channel\n"
        "Sale,2024-05-01,tea,ann,Till\nLIKE,2024-05-01,tea,ann,Web\nlike,2024-05-01,tea,ann,fax\n",
    )
    values = {"values": {"type": {"Sale": "purchase"}, "channel": {"Till": "store"}}}
    columns = {name: name for name in ("type", "time", "item_id", "user_id", "channel")}

    imported = importer(file, parse_mapping({"columns": columns, **values}))

    assert [(event.type, event.channel) for event in importer.stored()] == [
        (EventType.PURCHASE, Channel.STORE),
        (EventType.LIKE, Channel.WEB),
    ]
    assert [(one["field"], one["came"]) for one in rejected(imported)] == [("channel", "fax")]


def test_user_agent_tells_robots_and_is_not_kept(tmp_path: Path, importer: Importer) -> None:
    file = written(
        tmp_path / "events.csv",
        "type,time,item_id,user_id,user_agent\n"
        "click,2024-05-01,tea,ann,Mozilla/5.0 Firefox/148.0\n"
        "click,2024-05-01,tea,bot,Googlebot/2.1\nclick,2024-05-01,tea,cid,\n",
    )

    importer(file)

    assert [(event.user_id, event.robot) for event in importer.stored()] == [
        ("ann", False),
        ("bot", True),
        ("cid", False),
    ]
    assert b"Googlebot" not in (tmp_path / "log" / "log.sqlite-wal").read_bytes()


def test_time_somewhat_ahead_counts_as_now_and_one_far_ahead_is_rejected(
    tmp_path: Path, importer: Importer
) -> None:
    times = [NOON + timedelta(minutes=4), NOON + timedelta(hours=23), NOON + timedelta(hours=25)]
    rows = "".join(f"like,{time:%Y-%m-%dT%H:%M:%SZ},tea,ann\n" for time in times)

    imported = importer(written(tmp_path / "events.csv", "type,time,item_id,user_id\n" + rows))

    assert [event.time for event in importer.stored()] == [NOON + timedelta(minutes=4), NOON]
    assert [(one["line"], one["field"]) for one in rejected(imported)] == [(4, "time")]


def test_rows_that_count_otherwise_than_they_say_keep_their_ids(
    tmp_path: Path, importer: Importer
) -> None:
    file = written(
        tmp_path / "events.csv",
        "type,time,item_id,user_id,user_agent\nlike,2024-05-01T20:00:00Z,tea,ann,Googlebot/2.1\n",
    )
    importer(file)

    importer.now = NOON + timedelta(hours=3)
    again = importer(file)

    assert again.counts == ImportCounts(1, 0, 1, 0)
    assert [(event.time, event.robot) for event in importer.stored()] == [(NOON, True)]


def test_file_of_one_type_without_items_needs_no_column_of_items(
    tmp_path: Path, importer: Importer
) -> None:
    file = written(tmp_path / "mails.csv", "time,user_id\n2024-05-01,ann\n")
    mapping = FieldMapping(automatic=True, constants={"type": "email_sent"})

    importer(file, mapping)

    assert [event.type for event in importer.stored()] == [EventType.EMAIL_SENT]


def test_file_of_one_type_about_items_has_to_name_their_column(
    tmp_path: Path, importer: Importer
) -> None:
    file = written(tmp_path / "orders.csv", "time,user_id\n2024-05-01,ann\n")

    with pytest.raises(InvalidInput, match="nothing for item_id"):
        importer(file, FieldMapping(automatic=True, constants={"type": "purchase"}))


def test_row_that_needs_an_item_is_rejected_in_a_file_of_several_types(
    tmp_path: Path, importer: Importer
) -> None:
    file = written(
        tmp_path / "events.csv",
        "type,time,user_id\nlike,2024-05-01,ann\ncart_view,2024-05-01,ann\n",
    )

    imported = importer(file)

    assert [event.type for event in importer.stored()] == [EventType.CART_VIEW]
    assert [(one["line"], one["field"]) for one in rejected(imported)] == [(2, "item_id")]


def test_values_of_another_field_are_refused_by_name() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_mapping({"values": {"currency": {"Euro": "EUR"}}})

    assert caught.value.field == "values.currency"


def test_times_that_no_calendar_has_are_rejected_row_by_row(
    tmp_path: Path, importer: Importer
) -> None:
    file = written(
        tmp_path / "events.csv",
        "type,time,item_id,user_id\nlike,0001-01-01T00:00:00+10:00,tea,ann\n"
        "like,2024-02-30T00:00:00Z,tea,ann\nlike,9999-12-31T23:59:59-10:00,tea,ann\n"
        "like,2024-02-29T00:00:00Z,tea,ann\n",
    )

    imported = importer(file)

    assert imported.counts == ImportCounts(4, 1, 0, 3)


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", None])
def test_extreme_timestamps_of_parquet_are_rejected_row_by_row(
    unit: str, zone: str | None, tmp_path: Path, importer: Importer
) -> None:
    may_1, scale = 1_714_521_600, 1_000 ** (1 + ["ms", "us", "ns"].index(unit))
    beyond = may_1 + 2**64 // 1_000_000  # in seconds, as many microseconds as on 1 May
    when = pa.array([may_1 * scale, 1, -(2**62), 2**62, min(beyond * scale, 2**63 - 1)])
    written_as = pa.timestamp(unit, tz=zone)

    imported = importer(parquet(tmp_path / "events.parquet", when.cast(written_as)))

    assert imported.counts == ImportCounts(5, 1, 0, 4)
    assert {one["field"] for one in rejected(imported)} == {"time"}


@pytest.mark.parametrize("beyond", [2**31 - 1, -(2**31)])
def test_extreme_dates_of_parquet_are_rejected_row_by_row(
    beyond: int, tmp_path: Path, importer: Importer
) -> None:
    when = pa.array([19_844, beyond], pa.int32()).cast(pa.date32())

    imported = importer(parquet(tmp_path / "events.parquet", when))

    assert [one["line"] for one in rejected(imported)] == [2]


def parquet(path: Path, times: pa.Array) -> Path:
    """Return a file of one like for each time."""
    texts = {"type": "like", "item_id": "tea", "user_id": "ann"}
    columns = {name: [text] * len(times) for name, text in texts.items()}
    pq.write_table(pa.table({"time": times, **columns}), path)
    return path
