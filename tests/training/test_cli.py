import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from recsys.errors import InvalidInput
from tests import shop as tiny
from tests.training.small_lake import shop_lines, write_lake
from training.cli import GATE_FAILED, INTERRUPTED, app

# MLflow calls what its own dependencies have deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

SETTINGS = Path(__file__).with_name("small.toml")
RUNNER = CliRunner(env={"COLUMNS": "120"})


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    write_lake(folder, shop_lines())
    return folder


def run(shop: Path, *words: str) -> Result:
    return RUNNER.invoke(app, [*words, "--data-folder", str(shop)])


def test_a_first_training_run_prints_tables_verdict_and_what_is_next(shop: Path) -> None:
    settings = ("--settings", str(SETTINGS))

    done = run(shop, "train", *settings)

    # The shop's customers never leave their taste; the placements that say so pass or fail by it.
    assert done.exit_code in (0, GATE_FAILED), done.output
    assert "home: all cases" in done.output
    assert ("The gate agrees" in done.output) == (done.exit_code == 0)
    assert "Next:" in done.output


def test_releases_of_an_empty_folder_say_how_to_make_one(tmp_path: Path) -> None:
    assert "`recsys train` makes one" in run(tmp_path, "releases").output


def test_releases_show_each_judged_placement_in_a_narrow_terminal(tmp_path: Path) -> None:
    judged = [f"placement_{number}" for number in range(12)]
    bundle = tiny.bundle()
    scores = {f"{name}_ndcg_at_10": 0.25 for name in judged}
    blends: dict[str, dict[str, float]] = {name: {} for name in (*judged, "recently_viewed")}
    manifest = replace(bundle.manifest, metrics=scores, blends=blends)
    replace(bundle, manifest=manifest).save(tmp_path / "releases" / "v1")

    told = RUNNER.invoke(
        app, ["releases", "--data-folder", str(tmp_path)], env={"COLUMNS": "80"}
    ).output

    words = " ".join(told.replace("│", " ").split())
    assert all(f"{name} .250" in words for name in judged)
    assert "recently_viewed" not in words
    assert max(map(len, told.splitlines())) <= 80


@pytest.mark.parametrize("command", ["train", "evaluate", "promote", "rollback", "releases"])
def test_every_command_explains_itself_with_an_example(command: str) -> None:
    assert f"recsys {command}" in RUNNER.invoke(app, [command, "--help"]).output


def test_ctrl_c_says_that_nothing_was_published_and_leaves_no_process(tmp_path: Path) -> None:
    write_lake(tmp_path, shop_lines())
    words = ("train", "--settings", str(SETTINGS), "--data-folder", str(tmp_path))
    training = subprocess.Popen(
        [sys.executable, "-c", f"from recsys.cli import main; raise SystemExit(main({words}))"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert training.stdout is not None
    next(line for line in training.stdout if "learn from everything" in line)

    training.send_signal(signal.SIGINT)
    _, said = training.communicate(timeout=60)

    assert training.returncode == INTERRUPTED
    assert "nothing was published, no release is served yet" in said
    assert list((tmp_path / "releases").glob("*")) == []
    with pytest.raises(ProcessLookupError):
        os.killpg(training.pid, 0)


def test_a_data_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.write_text("")

    done = run(file, "releases")

    assert isinstance(done.exception, InvalidInput)
    assert "this is a file" in str(done.exception)
