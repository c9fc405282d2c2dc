from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from recsys.data_folder import SETTINGS_FILE_VARIABLE
from recsys.variables import KNOWN, unknown_variables
from serving.cli import app as serving_app
from serving.settings import ServingSettings
from serving.worker_pool import WORKER_SETTINGS
from training.cli import app as training_app


def test_misspelled_variable_is_named_with_the_one_that_was_meant() -> None:
    said = unknown_variables(["RECSYS_PROT", "RECSYS_PORT", "HOME"])

    assert said == ("RECSYS_PROT sets nothing: no such setting; did you mean RECSYS_PORT?",)


def test_variable_of_one_training_setting_is_left_to_training() -> None:
    assert unknown_variables(["RECSYS_TRAINING__FACTORS__DIM"]) == ()


def test_known_variables_are_those_that_the_two_shells_read() -> None:
    serving = {f"RECSYS_{name.upper()}" for name in ServingSettings.model_fields}
    commands = typer.main.get_command(training_app).commands.values()  # type: ignore[attr-defined]
    training = {option.envvar for command in commands for option in command.params}

    assert serving | {SETTINGS_FILE_VARIABLE, WORKER_SETTINGS} | (training - {None}) == KNOWN


@pytest.mark.parametrize(
    ("app", "words"), [(serving_app, ["recommend"]), (training_app, ["train"])]
)
def test_command_warns_of_a_variable_that_sets_nothing(
    app: typer.Typer, words: list[str], tmp_path: Path
) -> None:
    given = {"RECSYS_REDIS_ULR": "redis://127.0.0.1:6379/0", "RECSYS_DATA_FOLDER": str(tmp_path)}

    done = CliRunner(env={**given, "RECSYS_PORT": "9"}).invoke(app, words)

    assert done.exit_code == 1
    assert "did you mean RECSYS_REDIS_URL?" in done.stderr
