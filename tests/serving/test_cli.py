from __future__ import annotations

import pytest
from typer.testing import CliRunner

from recsys.errors import InvalidInput, Unavailable
from serving.cli import app
from serving.port import held_port

COMMANDS = ("serve", "recommend", "event", "picks")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_shows_how_to_call_it(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"])

    assert shown.exit_code == 0
    assert f"Example: recsys {command}" in shown.output


@pytest.mark.parametrize(
    "words",
    [["recommend", "--user", "42"], ["event", "--user", "42", "--type", "hide", "--item", "bread"]],
)
def test_without_a_server_the_next_step_is_said(words: list[str]) -> None:
    with held_port("127.0.0.1", 0) as port:
        called = CliRunner().invoke(app, [*words, "--address", f"127.0.0.1:{port}"])

    assert isinstance(called.exception, Unavailable)
    assert called.exception.reason == "NO_SERVER"
    assert "recsys serve" in str(called.exception)
    assert f"127.0.0.1:{port}" in str(called.exception)


def test_event_of_nobody_is_refused_before_anything_is_sent() -> None:
    called = CliRunner().invoke(app, ["event", "--type", "hide", "--item", "bread"])

    assert isinstance(called.exception, InvalidInput)
    assert called.exception.field == "user_id"


def test_server_that_others_could_reach_is_not_started() -> None:
    called = CliRunner().invoke(app, ["serve", "--host", "0.0.0.0"])

    assert isinstance(called.exception, InvalidInput)
    assert "no access control" in str(called.exception)
