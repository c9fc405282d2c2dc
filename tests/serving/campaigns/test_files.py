from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from recsys.errors import Unavailable
from serving.campaigns.files import CustomerPicks, Pick, picks_file

ANNA = CustomerPicks(
    "anna",
    [
        Pick("i1", 'Jam, "extra"', "https://shop/i1", "https://shop/i1.png", 2.5, "Because"),
        Pick("i2", "", "", "", None, "Popular"),
    ],
    "token",
)


def test_csv_has_a_cell_for_everything_and_empty_ones_where_items_lack(tmp_path: Path) -> None:
    path = tmp_path / "picks.csv"

    with picks_file(path, 3) as write:
        write(ANNA)

    with path.open(encoding="utf-8", newline="") as file:
        head, row = csv.reader(file)
    assert head[:8] == [
        "user_id", "attribution_token", "rec_1_id", "rec_1_title", "rec_1_url", "rec_1_image_url",
        "rec_1_price", "rec_1_reason",
    ]  # fmt: skip
    assert head[-1] == "rec_3_reason"
    assert row == [
        "anna", "token",
        "i1", 'Jam, "extra"', "https://shop/i1", "https://shop/i1.png", "2.50", "Because",
        "i2", "", "", "", "", "Popular",
        "", "", "", "", "", "",
    ]  # fmt: skip


def test_json_lines_carry_the_attribution_token_too(tmp_path: Path) -> None:
    path = tmp_path / "picks.jsonl"

    with picks_file(path, 3) as write:
        write(ANNA)

    (line,) = path.read_text(encoding="utf-8").splitlines()
    document = json.loads(line)
    assert (document["user_id"], document["attribution_token"]) == ("anna", "token")
    assert document["picks"][0] == {
        "item_id": "i1", "title": 'Jam, "extra"', "url": "https://shop/i1",
        "image_url": "https://shop/i1.png", "price": 2.5, "reason": "Because",
    }  # fmt: skip


def test_file_of_a_job_that_fails_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "picks.csv"
    path.write_text("the old one")

    def half_way() -> None:
        with picks_file(path, 3) as write:
            write(ANNA)
            raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        half_way()

    assert path.read_text() == "the old one"
    assert list(tmp_path.iterdir()) == [path]


def test_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="--out"), picks_file(tmp_path / "no" / "p.csv", 3):
        pass
