"""What an import says to a terminal is letters alone, whatever stands in the files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from recsys.errors import InvalidInput
from serving.importing.command import import_app

ESCAPE = "\x1b[2J\x9b31m"


def command(*arguments: str) -> Any:
    return CliRunner().invoke(import_app, ["events", *arguments])


def test_names_from_a_file_send_no_commands_to_the_terminal(tmp_path: Path) -> None:
    file = tmp_path / f"e{ESCAPE}.jsonl"
    file.write_bytes(orjson.dumps({"type": "track", "event": f"Sofa {ESCAPE}Sat {'x' * 999}"}))

    ran = command(str(file), "--format", "segment", "--data-folder", str(tmp_path / "data"))

    assert ran.exit_code == 0, ran.output
    assert "Sofa \\x1b[2J\\x9b31mSat" in ran.output
    assert ran.output.replace("\n", "").isprintable()
    assert "x" * 99 not in ran.output


@pytest.mark.parametrize("flags", [(), ("--column", "type=gone")])
def test_columns_of_a_file_are_named_without_commands(
    flags: tuple[str, ...], tmp_path: Path
) -> None:
    file = tmp_path / "events.csv"
    file.write_text(f"type,{ESCAPE}\nlike,1\n")

    ran = command(str(file), *flags, "--data-folder", str(tmp_path / "data"))

    assert isinstance(ran.exception, InvalidInput)
    assert str(ran.exception).isprintable()
