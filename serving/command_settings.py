"""The settings of a command, and a word about variables that look like some and set nothing."""

from __future__ import annotations

import os
from typing import Any

import typer

from recsys.variables import unknown_variables
from serving.settings import ServingSettings, read_settings


def settings_of(**flags: Any) -> ServingSettings:
    """Return the settings under these flags. Raises as `read_settings`."""
    for warning in unknown_variables(os.environ):
        typer.echo(f"recsys: {warning}", err=True)
    return read_settings(**flags)
