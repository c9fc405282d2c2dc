from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import EntryPoint, version
from pathlib import Path

import pytest

from recsys import cli

COMMANDS = """
import typer
from recsys.errors import NotFound

app = typer.Typer()

@app.command()
def greet(name: str) -> None:
    "Say hello to somebody."
    print(f"hello {name}")

@app.command()
def lose() -> None:
    "Ask for what is not there."
    raise NotFound("there is no release; run `recsys train` first")

@app.command()
def stop() -> None:
    "Be interrupted."
    raise KeyboardInterrupt

@app.command()
def crash() -> None:
    "Fail with a fault of our own."
    raise ValueError("a fault")

@app.command()
def reach() -> None:
    "Need a package that is not installed."
    import package_that_is_nowhere

@app.command()
def talk() -> None:
    "Print a lot."
    for _ in range(20_000):
        print("word " * 20)
"""


@pytest.fixture
def points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    (tmp_path / "shop_commands.py").write_text(COMMANDS)
    (tmp_path / "lame_commands.py").write_text("import package_that_is_nowhere\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("shop_commands", "lame_commands"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return [EntryPoint("shop", "shop_commands:app", cli.GROUP)]


@pytest.fixture
def lame(points: list[EntryPoint]) -> list[EntryPoint]:
    return [*points, EntryPoint("lame", "lame_commands:app", cli.GROUP)]


def test_help_lists_every_command_with_its_line(
    points: list[EntryPoint], capsys: pytest.CaptureFixture[str]
) -> None:
    status = cli.main(["--help"], points)

    printed = capsys.readouterr().out
    assert status == 0
    assert "greet" in printed
    assert "Say hello to somebody." in printed
    assert "Example: recsys" in printed


def test_version_is_that_of_the_package(
    points: list[EntryPoint], capsys: pytest.CaptureFixture[str]
) -> None:
    status = cli.main(["--version"], points)

    assert status == 0
    assert capsys.readouterr().out == f"recsys {version('recsys')}\n"


def test_command_of_an_entry_point_runs(
    points: list[EntryPoint], capsys: pytest.CaptureFixture[str]
) -> None:
    status = cli.main(["greet", "ann"], points)

    assert status == 0
    assert capsys.readouterr().out == "hello ann\n"


def test_error_a_user_can_act_on_is_one_line_and_no_traceback(
    points: list[EntryPoint], capsys: pytest.CaptureFixture[str]
) -> None:
    status = cli.main(["lose"], points)

    assert status == 1
    assert capsys.readouterr().err == "recsys: there is no release; run `recsys train` first\n"


def test_fault_of_our_own_is_not_hidden(points: list[EntryPoint]) -> None:
    with pytest.raises(ValueError, match="a fault"):
        cli.main(["crash"], points)


def test_interrupted_command_exits_as_shells_expect(points: list[EntryPoint]) -> None:
    assert cli.main(["stop"], points) == 130


def test_missing_extra_leaves_the_other_commands_usable(
    lame: list[EntryPoint], capsys: pytest.CaptureFixture[str]
) -> None:
    status = cli.main(["greet", "bob"], lame)

    assert status == 0
    assert capsys.readouterr().out == "hello bob\n"


def test_help_names_the_extra_of_commands_that_are_missing(
    lame: list[EntryPoint], capsys: pytest.CaptureFixture[str]
) -> None:
    status = cli.main(["--help"], lame)

    assert status == 0
    assert "recsys[lame]" in capsys.readouterr().out


def test_unknown_command_names_the_extra_that_may_hold_it(
    lame: list[EntryPoint], capsys: pytest.CaptureFixture[str]
) -> None:
    status = cli.main(["train"], lame)

    assert status == 2
    assert "pip install 'recsys[lame]'" in capsys.readouterr().err


def test_command_that_lacks_a_package_names_its_extra(
    points: list[EntryPoint], capsys: pytest.CaptureFixture[str]
) -> None:
    status = cli.main(["reach"], points)

    printed = capsys.readouterr().err
    assert status == 1
    assert "'package_that_is_nowhere'" in printed
    assert "pip install 'recsys[shop]'" in printed


def test_missing_module_of_our_own_is_a_fault_not_a_hint() -> None:
    broken = [EntryPoint("serving", "serving.nowhere:app", cli.GROUP)]

    with pytest.raises(ModuleNotFoundError, match=r"serving\.nowhere"):
        cli.main(["--help"], broken)


def test_closed_pipe_ends_a_command_quietly(points: list[EntryPoint], tmp_path: Path) -> None:
    script = (
        "import sys; from importlib.metadata import EntryPoint; from recsys import cli\n"
        f"point = EntryPoint('shop', 'shop_commands:app', {cli.GROUP!r})\n"
        "sys.exit(cli.main(['talk'], [point]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}

    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        complaint = process.stderr.read()

    assert (complaint, process.returncode) == (b"", 1)


def test_importing_the_command_loads_the_standard_library_only() -> None:
    script = (
        "import sys; import recsys.cli\n"
        "roots = {name.partition('.')[0] for name in sys.modules}\n"
        "print(sorted(roots & {'typer', 'numpy', 'grpc', 'pydantic', 'rich'}))"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout == "[]\n"
