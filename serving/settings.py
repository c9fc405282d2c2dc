"""What serving can be told: `serving.toml`, over it RECSYS_* variables, over them flags."""

from __future__ import annotations

import os
import tomllib
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from recsys.customers import Purpose
from recsys.data_folder import SETTINGS_FILE_VARIABLE, own_settings_file
from recsys.errors import InvalidInput
from recsys.languages.language import Languages
from recsys.languages.reading import read_languages
from recsys.models.trends import Memory
from recsys.pipeline.placement import DEFAULT_PLACEMENTS
from recsys.robots import RobotRule
from serving.lake.keeping import Keeping

DEFAULTS = Path(__file__).parent / "config" / "serving.toml"
MOST_WORKERS_UNASKED = 2

Milliseconds = Annotated[int, Field(gt=0, le=60_000)]
Seconds = Annotated[float, Field(gt=0, le=3_600)]


class ServingSettings(BaseSettings):
    """How one shop is served; `config/serving.toml` says what each key means."""

    model_config = SettingsConfigDict(env_prefix="RECSYS_", extra="forbid", frozen=True)

    data_folder: Path
    host: str
    port: Annotated[int, Field(ge=0, le=65_535)]
    metrics_port: Annotated[int, Field(ge=0, le=65_535)]
    admin_port: Annotated[int, Field(ge=0, le=65_535)]
    workers: Annotated[int, Field(ge=0, le=256)]
    redis_url: str
    placements: str
    language: str
    languages_folder: str
    read_timeout_ms: Milliseconds
    write_timeout_ms: Milliseconds
    lists_kept_minutes: Annotated[int, Field(ge=0, le=10_080)]
    batch_size: Annotated[int, Field(gt=0, le=1_024)]
    release_poll_s: Seconds
    apply_interval_s: Seconds
    follow_interval_s: Seconds
    drain_interval_s: Seconds
    drain_records: Annotated[int, Field(gt=0)]
    compact_interval_s: Annotated[float, Field(gt=0, le=86_400)]
    lake_keep_hours: Annotated[int, Field(ge=1)]
    events_kept_days: Annotated[int, Field(ge=0)]
    allowed_unless_refused: frozenset[Purpose]
    erasure_ledger: str
    robots_left_out: bool
    robots_a_minute: Annotated[int, Field(ge=0)]
    robots_a_day: Annotated[int, Field(ge=0)]
    robots_buyer_factor: Annotated[float, Field(ge=1)]
    trends_interval_s: Seconds
    trends_recent_hours: Annotated[float, Field(gt=0, le=168)]
    trends_usual_days: Annotated[float, Field(gt=0, le=365)]
    grace_s: Seconds
    log_level: Literal["debug", "info", "warning", "error"]

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return where values come from, the strongest first."""
        own = own_settings_file(os.environ)
        named = [DEFAULTS, own] if own else [DEFAULTS]
        files = TomlConfigSettingsSource(settings_cls, toml_file=named)
        return init_settings, env_settings, files

    @field_validator("host")
    @classmethod
    def _loopback(cls, host: str) -> str:
        if not _is_loopback(host):
            raise ValueError(
                "a loopback address such as 127.0.0.1: there is no access control yet, so the "
                "service may not be reachable from other machines"
            )
        return host

    @field_validator("data_folder")
    @classmethod
    def _folder(cls, data_folder: Path) -> Path:
        if data_folder.exists() and not data_folder.is_dir():
            raise ValueError("a folder; this is a file")
        return data_folder

    @property
    def n_workers(self) -> int:
        """How many workers to start."""
        return self.workers or min(len(os.sched_getaffinity(0)), MOST_WORKERS_UNASKED)

    @property
    def address(self) -> str:
        """Where gRPC listens, as `host:port`."""
        return self._at(self.port)

    @property
    def admin_address(self) -> str:
        """Where merchandisers are served, as `host:port`; empty for nowhere."""
        return self._at(self.admin_port) if self.admin_port else ""

    def _at(self, port: int) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{port}"

    @property
    def erasure_ledger_file(self) -> Path:
        """The file that says who was erased."""
        own = self.data_folder / "erasures" / "ledger.jsonl"
        return Path(self.erasure_ledger) if self.erasure_ledger else own

    @property
    def placements_file(self) -> Path:
        """The file of placements."""
        return Path(self.placements) if self.placements else DEFAULT_PLACEMENTS

    def spoken_languages(self) -> Languages:
        """Return the languages of answers. Raises NotFound, or InvalidInput naming file and key."""
        folder = Path(self.languages_folder) if self.languages_folder else None
        return read_languages(folder, self.language)

    @property
    def keeping(self) -> Keeping:
        """What the lake keeps, and for how long."""
        return Keeping(timedelta(hours=self.lake_keep_hours), self.events_kept_days)

    @property
    def robot_rule(self) -> RobotRule | None:
        """Who is a robot; None where robots are counted like everybody."""
        rule = RobotRule(self.robots_a_minute, self.robots_a_day, self.robots_buyer_factor)
        return rule if self.robots_left_out else None

    @property
    def log_file(self) -> Path:
        """The database of the event log."""
        return self.data_folder / "log" / "log.sqlite"

    @property
    def lake_folder(self) -> Path:
        """The folder of the Delta tables."""
        return self.data_folder / "lake"

    @property
    def releases_folder(self) -> Path:
        """The folder of published bundles and of the pointer to the served one."""
        return self.data_folder / "releases"

    @property
    def rejects_folder(self) -> Path:
        """The folder of imported rows that could not be used."""
        return self.data_folder / "rejects"

    @property
    def trends_file(self) -> Path:
        """The file of what is counted of late."""
        return self.data_folder / "trends.npz"

    @property
    def trends_memory(self) -> Memory:
        """How soon what was wanted is forgotten."""
        return Memory(self.trends_recent_hours, 24 * self.trends_usual_days)

    @property
    def secret_file(self) -> Path:
        """The key of hashed ids."""
        return self.data_folder / "secret"


def read_settings(**flags: Any) -> ServingSettings:
    """Return the settings under these flags; a flag of None was not given.

    Raises InvalidInput naming the first key that is unknown or holds what it may not, NotFound
    where RECSYS_SERVING_CONFIG names no file.
    """
    try:
        return ServingSettings(**{key: value for key, value in flags.items() if value is not None})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(SETTINGS_FILE_VARIABLE, str(error), "a valid TOML file") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        unknown = first["type"] == "extra_forbidden"  # of a file: other variables are passed over
        named = os.environ.get(SETTINGS_FILE_VARIABLE, DEFAULTS.name)
        wanted = f"a known key in {named}" if unknown else _wanted(first["msg"])
        raise InvalidInput(key, first.get("input"), wanted, reason="BAD_SETTING") from error


def _wanted(message: str) -> str:
    return message.removeprefix("Value error, ").removeprefix("Input should be ")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
