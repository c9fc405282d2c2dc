"""`recsys rules`, as a person calls it, over a data folder without a server."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from recsys.errors import InvalidInput, NotFound
from recsys.releases import move_pointer
from serving.cli import app
from serving.log.writer import Writer
from tests import shop
from tests.serving.log.test_rules import spoil

COMMANDS = ("apply", "list", "show", "history", "remove", "enable", "disable", "check", "preview")
RULES = """
[rules.tea-first]
kind = "pin"
item = "tea"
position = 1

[rules.no-drinks]
kind = "exclude"
items = 'category = "Drinks"'
"""
EVIL = "\x1b]0;evil\x07"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RECSYS_DATA_FOLDER", str(tmp_path))
    monkeypatch.setenv("RECSYS_PLACEMENTS", str(tmp_path / "placements.toml"))
    (tmp_path / "placements.toml").write_text(shop.PLACEMENTS)
    (tmp_path / "rules.toml").write_text(RULES)
    log = Writer(tmp_path / "log" / "log.sqlite", clock=lambda: shop.NOW)
    log.change_items(shop.items())
    log.close()
    releases = tmp_path / "releases"
    releases.mkdir()
    shop.bundle("v1").save(releases / "v1")
    move_pointer(releases, "v1", reason="test", now=shop.NOW)
    return tmp_path


def told(*words: str) -> Result:
    return CliRunner(env={"COLUMNS": "160"}).invoke(app, ["rules", *words])


def applied(folder: Path, *words: str) -> Result:
    return told("apply", str(folder / "rules.toml"), "--reason", "a test", *words)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_shows_how_to_call_it(command: str) -> None:
    shown = CliRunner().invoke(app, ["rules", command, "--help"])

    assert shown.exit_code == 0
    assert f"Example: recsys rules {command}" in shown.output


def test_dry_run_tells_conflicts_and_changes_nothing(folder: Path) -> None:
    dry = applied(folder, "--dry-run")

    assert "2 rules would be changed: tea-first, no-drinks" in dry.output
    assert "pin_excluded: no-drinks, tea-first: no-drinks excludes tea" in dry.output
    assert "there is no rule" in told("list").output


def test_what_was_applied_is_listed_shown_and_looked_back_at(folder: Path) -> None:
    applied(folder, "--author", f"ida{EVIL}")

    refused = told("list").output
    applied(folder, "--author", "ida")

    assert refused.strip() == "there is no rule"
    assert "tea, at position 1" in told("list").output
    assert told("show", "tea-first").output == (
        '[rules.tea-first]\nkind = "pin"\nitem = "tea"\nposition = 1\n'
    )
    assert "ida: a test" in told("history", "tea-first").output
    assert "0 rules changed, 2 as before" in applied(folder).output


def test_rule_is_put_out_of_force_into_force_and_away(folder: Path) -> None:
    applied(folder)

    told("disable", "no-drinks", "--reason", "thirst")
    disabled = told("list").output, told("check").output
    told("enable", "no-drinks", "--reason", "enough")
    enabled = told("check").output
    told("remove", "no-drinks", "tea-first", "--reason", "over")

    assert "no-drinks (disabled)" in disabled[0]
    assert disabled[1].strip() == "no conflict"
    assert "pin_excluded" in enabled
    assert "there is no rule" in told("list").output
    assert "removed by" in told("show", "no-drinks").output


def test_rule_that_cannot_be_read_is_listed_and_named_as_a_conflict(folder: Path) -> None:
    applied(folder)
    spoil(folder / "log" / "log.sqlite", "tea-first")

    listed, checked, shown = told("list").output, told("check").output, told("show", "tea-first")

    assert "tea-first (not in force)" in listed
    assert "cannot be read: rules.tea-first.kind" in " ".join(listed.split())
    assert "unreadable: tea-first: it is not in force" in checked
    assert "cannot be read" in shown.output
    assert "cannot be read" in told("history", "tea-first").output


def test_unknown_rules_and_files_are_said(folder: Path) -> None:
    missing, unknown = told("check", str(folder / "gone.toml")), told("show", "gone")
    (folder / "rules.toml").write_text("[rules.a]\nkind = 'nail'\n")
    wrong = applied(folder)

    assert isinstance(missing.exception, NotFound)
    assert isinstance(unknown.exception, NotFound)
    assert isinstance(wrong.exception, InvalidInput)
    assert "rules.toml: rules.a.kind" in str(wrong.exception)


def test_without_a_release_rules_are_kept_and_items_not_looked_at(folder: Path) -> None:
    (folder / "releases" / "current.json").unlink(missing_ok=True)
    for pointer in (folder / "releases").glob("*"):
        if pointer.is_file():
            pointer.unlink()

    assert "2 rules changed" in applied(folder).output
    assert told("check").output.strip() == "no conflict"
