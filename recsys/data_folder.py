"""The data folder: both shells find the same one, by a flag, a variable, a file, or its name."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from recsys.errors import InvalidInput, NotFound

DEFAULT_DATA_FOLDER = Path("data")
VARIABLE = "RECSYS_DATA_FOLDER"
SETTINGS_FILE_VARIABLE = "RECSYS_SERVING_CONFIG"
KEY = "data_folder"

TRAINING_LOCK = "training.lock"
"""File of a data folder that a training run holds locked from its first look at the lake."""


def data_folder_of(given: Path | None, variables: Mapping[str, str]) -> Path:
    """Return the data folder that a server with this flag and environment has.

    given: by a flag; None where there was none. variables: an environment.
    Raises NotFound where the variable names no settings file, InvalidInput where that is no TOML
    or what it names cannot be a folder.
    """
    found = given or _told(variables)
    if found.exists() and not found.is_dir():
        raise InvalidInput(KEY, str(found), "a folder; this is a file", reason="BAD_SETTING")
    return found


def own_settings_file(variables: Mapping[str, str]) -> Path | None:
    """Return the shop's own file of settings; None where it has none.

    Raises NotFound where there is no such file.
    """
    named = variables.get(SETTINGS_FILE_VARIABLE)
    if not named:
        return None
    if not Path(named).is_file():
        raise NotFound(
            f"{SETTINGS_FILE_VARIABLE} names {named}, which is no file", reason="NO_SETTINGS_FILE"
        )
    return Path(named)


def _told(variables: Mapping[str, str]) -> Path:
    """Return what the environment says: by itself, or by the file it names."""
    if VARIABLE in variables:
        return Path(variables[VARIABLE])
    file = own_settings_file(variables)
    if file is None:
        return DEFAULT_DATA_FOLDER
    try:
        said = tomllib.loads(file.read_text(encoding="utf-8")).get(KEY, str(DEFAULT_DATA_FOLDER))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(SETTINGS_FILE_VARIABLE, str(error), "a valid TOML file") from error
    if not isinstance(said, str):
        raise InvalidInput(KEY, said, f"a path as text in {file}", reason="BAD_SETTING")
    return Path(said)
