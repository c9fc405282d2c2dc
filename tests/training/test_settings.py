import json
from pathlib import Path

import pytest

from recsys.errors import InvalidInput, NotFound
from training.settings import (
    DEFAULT_SETTINGS,
    TrainingSettings,
    read_settings,
    recipe_settings,
)


def settings_of(tmp_path: Path, text: str, *flags: str, **variables: str) -> TrainingSettings:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return read_settings(path, variables=variables, flags=flags)


def test_the_file_that_comes_with_the_package_says_the_defaults() -> None:
    shipped = read_settings(DEFAULT_SETTINGS, variables={})

    assert json.loads(shipped.recipe()) == json.loads(TrainingSettings().recipe())


def test_flags_go_over_variables_and_variables_over_the_file(tmp_path: Path) -> None:
    found = settings_of(
        tmp_path,
        "seed = 1\n[factors]\ndim = 8\niterations = 2",
        "factors.dim=32",
        RECSYS_TRAINING__FACTORS__DIM="16",
        RECSYS_TRAINING__FACTORS__ITERATIONS="3",
    )

    assert (found.seed, found.factors.dim, found.factors.iterations) == (1, 32, 3)


@pytest.mark.parametrize(
    ("text", "flags", "field"),
    [
        ("sede = 1", [], "mine.toml: sede"),
        ("[factors]\nsize = 8", [], "mine.toml: factors.size"),
        ("[factors]\nregularization = [0.0]", [], "mine.toml: factors.regularization.0"),
        ("[gate]\ntolerance = 2.0", [], "mine.toml: gate.tolerance"),
        ("", ["factors.dim=many"], "--set factors.dim"),
        ("seed = 1", ["seed.of=1"], "--set seed.of"),
        ("= 1", [], "mine.toml"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(
    tmp_path: Path, text: str, flags: list[str], field: str
) -> None:
    with pytest.raises(InvalidInput) as raised:
        settings_of(tmp_path, text, *flags)

    assert raised.value.field == field


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"nowhere\.toml"):
        read_settings(tmp_path / "nowhere.toml", variables={})


def test_a_recipe_reads_back_as_the_settings_it_came_from() -> None:
    settings = TrainingSettings(seed=11)

    assert recipe_settings(settings.recipe()) == settings


def test_gate_and_housekeeping_are_no_part_of_the_recipe(tmp_path: Path) -> None:
    other = settings_of(tmp_path, "threads = 2\nkeep_releases = 9\n[gate]\ntolerance = 0.5")

    assert other.recipe() == TrainingSettings().recipe()
    assert TrainingSettings(seed=8).recipe() != other.recipe()


def test_what_is_no_recipe_is_refused() -> None:
    with pytest.raises(InvalidInput):
        recipe_settings("{")


def test_a_file_that_is_no_text_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(InvalidInput, match=r"mine\.toml.*a valid TOML file"):
        read_settings(tmp_path / "mine.toml", variables={})


def test_a_folder_in_place_of_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="directory"):
        read_settings(tmp_path, variables={})


def test_an_unknown_key_is_said_to_be_unknown(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="a known key"):
        settings_of(tmp_path, "sede = 1")
