"""Both shells find one data folder, whatever says where it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from recsys.data_folder import data_folder_of
from recsys.errors import InvalidInput, NotFound
from serving.cli import app as serving
from serving.settings import read_settings
from training.cli import app as training

ORDERS = "type,time,item_id,user_id\npurchase,2024-05-01,tea,ann\n"


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("RECSYS_DATA_FOLDER", "RECSYS_SERVING_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def shop_toml(monkeypatch: pytest.MonkeyPatch, here: Path) -> Path:
    file = here / "shop.toml"
    file.write_text('data_folder = "told"\n')
    monkeypatch.setenv("RECSYS_SERVING_CONFIG", str(file))
    return file


@pytest.mark.parametrize("flag", [None, Path("flag")])
@pytest.mark.parametrize("variable", [None, "variable"])
@pytest.mark.parametrize("file", [None, 'data_folder = "told"\n', "port = 1\n"])
def test_folder_is_the_one_that_the_server_has(
    monkeypatch: pytest.MonkeyPatch, flag: Path | None, variable: str | None, file: str | None
) -> None:
    variables = {"RECSYS_DATA_FOLDER": variable} if variable else {}
    if file:
        Path("shop.toml").write_text(file)
        variables["RECSYS_SERVING_CONFIG"] = "shop.toml"
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert data_folder_of(flag, variables) == read_settings(data_folder=flag).data_folder


def test_import_goes_to_the_folder_of_the_servers_settings(here: Path, shop_toml: Path) -> None:
    (here / "orders.csv").write_text(ORDERS)

    done = CliRunner().invoke(serving, ["import", "events", "orders.csv"])

    assert done.exit_code == 0, done.output
    assert (here / "told" / "log" / "log.sqlite").exists()
    assert not (here / "data").exists()


def test_training_reads_the_folder_of_the_servers_settings(here: Path, shop_toml: Path) -> None:
    (here / "told" / "releases").mkdir(parents=True)
    (here / "told" / "releases" / "current").write_text("20260131-040000")

    shown = CliRunner().invoke(training, ["evaluate"])

    assert "20260131-040000" in f"{shown.output}{shown.exception}"


@pytest.mark.parametrize("content", ["data_folder = 3\n", 'data_folder = "shop.toml"\n'])
def test_what_cannot_be_a_folder_is_refused_by_its_name(shop_toml: Path, content: str) -> None:
    shop_toml.write_text(content)

    with pytest.raises(InvalidInput) as caught:
        data_folder_of(None, {"RECSYS_SERVING_CONFIG": str(shop_toml)})

    assert caught.value.field == "data_folder"


def test_settings_file_that_is_no_toml_or_is_not_there_is_said(shop_toml: Path) -> None:
    shop_toml.write_text("data_folder =")

    with pytest.raises(InvalidInput, match="RECSYS_SERVING_CONFIG"):
        data_folder_of(None, {"RECSYS_SERVING_CONFIG": str(shop_toml)})
    with pytest.raises(NotFound, match="which is no file"):
        data_folder_of(None, {"RECSYS_SERVING_CONFIG": "nowhere.toml"})
