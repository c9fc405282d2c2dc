from __future__ import annotations

from pathlib import Path

import pytest

from recsys.errors import InvalidInput, NotFound
from recsys.variables import KNOWN
from serving.settings import ServingSettings, read_settings


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ServingSettings.model_fields:
        monkeypatch.delenv(f"RECSYS_{name.upper()}", raising=False)
    monkeypatch.delenv("RECSYS_SERVING_CONFIG", raising=False)


def test_defaults_listen_on_loopback_with_at_most_two_workers() -> None:
    settings = read_settings()

    assert (settings.host, settings.port, settings.data_folder) == (
        "127.0.0.1",
        50051,
        Path("data"),
    )
    assert 1 <= settings.n_workers <= 2


def test_flag_beats_variable_and_variable_beats_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = tmp_path / "own.toml"
    own.write_text("port = 1\nworkers = 1\nbatch_size = 1\n")
    monkeypatch.setenv("RECSYS_SERVING_CONFIG", str(own))
    monkeypatch.setenv("RECSYS_PORT", "2")
    monkeypatch.setenv("RECSYS_WORKERS", "2")

    settings = read_settings(port=3, workers=None)

    assert (settings.port, settings.workers, settings.batch_size) == (3, 2, 1)
    assert settings.read_timeout_ms == 50


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "shop.example"])
def test_host_that_others_can_reach_is_refused_with_the_reason(host: str) -> None:
    with pytest.raises(InvalidInput, match="no access control") as caught:
        read_settings(host=host)

    assert caught.value.field == "host"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.0.0.2"])
def test_loopback_host_is_taken(host: str) -> None:
    assert read_settings(host=host).host == host


def test_unknown_key_in_a_file_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = tmp_path / "own.toml"
    own.write_text("prot = 50051\n")
    monkeypatch.setenv("RECSYS_SERVING_CONFIG", str(own))

    with pytest.raises(InvalidInput, match="a known key") as caught:
        read_settings()

    assert caught.value.field == "prot"


def test_file_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSYS_SERVING_CONFIG", "nowhere.toml")

    with pytest.raises(NotFound, match=r"nowhere\.toml"):
        read_settings()


def test_number_out_of_its_limits_is_refused() -> None:
    with pytest.raises(InvalidInput, match="65535"):
        read_settings(port=70_000)


def test_settings_survive_the_way_to_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = read_settings(port=3, redis_url="redis://127.0.0.1:6379/0")
    monkeypatch.setenv("RECSYS_PORT", "4")

    assert ServingSettings.model_validate_json(sent.model_dump_json()) == sent


def test_file_that_is_no_text_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_bytes(b"\xff\xfe\x00")
    monkeypatch.setenv("RECSYS_SERVING_CONFIG", str(own))

    with pytest.raises(InvalidInput, match="a valid TOML file"):
        read_settings()


def test_data_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.write_text("")

    with pytest.raises(InvalidInput, match="a folder"):
        read_settings(data_folder=file)


def test_every_setting_has_a_variable_that_is_known() -> None:
    variables = {f"RECSYS_{name.upper()}" for name in ServingSettings.model_fields}

    assert variables - KNOWN == set()
