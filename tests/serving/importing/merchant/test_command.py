"""`recsys import catalog FILE --format merchant`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from recsys.errors import InvalidInput
from serving.importing.command import import_app
from tests.serving.importing.merchant.feeds import GOOD, RSS, item, rss, written


def command(*arguments: str) -> Any:
    return CliRunner().invoke(import_app, ["catalog", *arguments])


def test_command_imports_a_feed_and_says_what_became_of_it(tmp_path: Path) -> None:
    feed = rss(GOOD, item(price="12,99"), item(id="tea", shipping="DE:4 EUR"), item(id="tea"))
    file = written(tmp_path / "feed.xml", feed)

    ran = command(str(file), "--format", "merchant", "--data-folder", str(tmp_path / "data"))

    assert ran.exit_code == 0, ran.output
    assert "4 rows read = 2 accepted + 1 already there + 1 rejected" in ran.output
    assert "skipped, since it tells nothing: shipping 1" in ran.output
    assert "1 rows name an item that stands before them in the file" in ran.output
    assert "feed.xml.rejects.jsonl" in ran.output


def test_command_fails_after_a_feed_that_breaks_off_with_its_beginning_in(tmp_path: Path) -> None:
    file = written(tmp_path / "feed.xml", RSS + GOOD + "<item><g:id>te")

    ran = command(str(file), "--format", "merchant", "--data-folder", str(tmp_path / "data"))

    assert isinstance(ran.exception, InvalidInput)
    assert ran.exception.reason == "FILE_BROKEN_OFF"
    assert "in line 3" in str(ran.exception)
    assert "2 rows read = 1 accepted + 0 already there + 1 rejected" in ran.output


def test_command_fails_where_a_feed_holds_no_product(tmp_path: Path) -> None:
    file = written(tmp_path / "feed.xml", rss())

    ran = command(str(file), "--format", "merchant", "--data-folder", str(tmp_path / "data"))

    assert isinstance(ran.exception, InvalidInput)
    assert ran.exception.reason == "NOTHING_IMPORTED"


@pytest.mark.parametrize(
    ("flags", "field"),
    [
        (("--market", "DE"), "--market"),
        (("--market", "D" * 33, "--format", "merchant"), "--market"),
        (("--format", "merchant", "--column", "item_id=sku"), "--format"),
        (("--format", "merchant", "--constant", "brand=us"), "--format"),
    ],
)
def test_command_refuses_what_does_not_go_together(
    flags: tuple[str, ...], field: str, tmp_path: Path
) -> None:
    file = written(tmp_path / "feed.xml", rss(GOOD))

    ran = command(str(file), *flags, "--data-folder", str(tmp_path / "data"))

    assert isinstance(ran.exception, InvalidInput)
    assert ran.exception.field == field
