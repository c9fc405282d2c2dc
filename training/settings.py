"""TrainingSettings: what a run does, from a TOML file, `RECSYS_TRAINING__*` variables and flags.

A list of numbers is a grid: the run measures each value on the validation window and keeps the
best. A list of one value decides it beforehand.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from recsys.customers import ALLOWED_UNLESS_REFUSED, Purpose
from recsys.errors import InvalidInput, NotFound
from recsys.events import EventType
from recsys.interest import DEFAULT_WEIGHTS
from recsys.robots import RobotRule
from training.grids import STRICT, Count, Days, DaysGrid, ExponentGrid, PositiveGrid, Share
from training.relation_settings import SessionSettings, TogetherSettings, ViewedSettings

VARIABLES = "RECSYS_TRAINING__"


@dataclass(frozen=True, slots=True)
class InterestSettings:
    """How events add up to interest. half_life_days: a grid; 0 means never fading."""

    __pydantic_config__ = STRICT
    half_life_days: DaysGrid = (365.0, 120.0)
    weights: dict[EventType, Annotated[float, Field(ge=0)]] = field(
        default_factory=lambda: dict(DEFAULT_WEIGHTS)
    )


@dataclass(frozen=True, slots=True)
class FactorSettings:
    """Matrix factorisation. regularization, alpha: grids."""

    __pydantic_config__ = STRICT
    dim: Annotated[int, Field(gt=0, le=512)] = 64
    iterations: Count = 8
    regularization: PositiveGrid = (5.0, 20.0)
    alpha: PositiveGrid = (1.0,)


@dataclass(frozen=True, slots=True)
class ContentSettings:
    """Vectors of items that nobody has met, from their descriptions: all three are grids.

    exponents: how much lengths are made equal, from 0 (not) to 1. lengths: of foreseen vectors,
    beside those of learned ones.
    """

    __pydantic_config__ = STRICT
    regularization: PositiveGrid = (4.0, 1.0, 16.0)
    exponents: ExponentGrid = (0.5, 0.0, 1.0)
    lengths: PositiveGrid = (1.0, 0.5, 2.0, 4.0)


@dataclass(frozen=True, slots=True)
class PopularitySettings:
    """Popularity. half_life_days: a grid; 0 means that all purchases count alike."""

    __pydantic_config__ = STRICT
    half_life_days: DaysGrid = (3.0, 7.0, 28.0)


@dataclass(frozen=True, slots=True)
class RepurchaseSettings:
    """Buying again. half_life_days, rate_exponents: grids.

    rate_exponents: how much an item's repeat rate counts, from 0 (not) to 1.
    prior_buyers: buyers whose behaviour is assumed average before an item's own count.
    """

    __pydantic_config__ = STRICT
    half_life_days: DaysGrid = (60.0, 90.0, 120.0)
    rate_exponents: ExponentGrid = (0.5, 1.0)
    prior_buyers: Annotated[float, Field(gt=0)] = 10.0


@dataclass(frozen=True, slots=True)
class TrendSettings:
    """Items sold more, or less, of late than over the long run.

    recent_days, long_days: half-lives of the two. exponents: a grid, for each placement, of how
    much the trend counts, from 0 (not) to 1.
    """

    __pydantic_config__ = STRICT
    recent_days: Days = 10.0
    long_days: Days = 120.0
    exponents: ExponentGrid = (0.0, 0.1, 0.2, 0.3)


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """The index must find `recall_floor` of the true nearest `k`."""

    __pydantic_config__ = STRICT
    k: Count = 100
    recall_floor: Share = 0.99


@dataclass(frozen=True, slots=True)
class GateSettings:
    """What a candidate must reach.

    tolerance: how far its NDCG@10 may lie under the champion's, as a share of that.
    least_data: how much of the champion's number of events it must have seen, as a share.
    """

    __pydantic_config__ = STRICT
    tolerance: Share = 0.02
    least_data: Share = 0.8


@dataclass(frozen=True, slots=True)
class RobotSettings:
    """Who is a robot (`recsys.robots.RobotRule` says what the limits mean).

    left_out: whether robots are left out of what is learned from.
    """

    __pydantic_config__ = STRICT
    left_out: bool = True
    a_minute: Annotated[int, Field(ge=0)] = RobotRule().a_minute
    a_day: Annotated[int, Field(ge=0)] = RobotRule().a_day
    buyer_factor: Annotated[float, Field(ge=1)] = RobotRule().buyer_factor

    def rule(self) -> RobotRule | None:
        """Return the rule, None where nobody is left out."""
        rule = RobotRule(self.a_minute, self.a_day, self.buyer_factor)
        return rule if self.left_out else None


@dataclass(frozen=True, slots=True)
class ConsentSettings:
    """What customers allow who said nothing; the same as `allowed_unless_refused` of serving."""

    __pydantic_config__ = STRICT
    allowed_unless_refused: tuple[Purpose, ...] = tuple(sorted(ALLOWED_UNLESS_REFUSED))


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """One run.

    seed: of everything that is drawn. threads: of the fits; any number gives the same models.
    window_days: length of the validation and of the test window.
    history_days: events wanted before the two.
    most_cases: customers replayed for a placement at most.
    keep_releases: newest release folders kept beside those in use.
    """

    __pydantic_config__ = STRICT
    seed: Annotated[int, Field(ge=0)] = 7
    threads: Annotated[int, Field(ge=0)] = 0
    window_days: Days = 28.0
    history_days: Days = 56.0
    most_cases: Count = 1_500
    keep_releases: Count = 5
    robots: RobotSettings = field(default_factory=RobotSettings)
    consent: ConsentSettings = field(default_factory=ConsentSettings)
    interest: InterestSettings = field(default_factory=InterestSettings)
    factors: FactorSettings = field(default_factory=FactorSettings)
    content: ContentSettings = field(default_factory=ContentSettings)
    together: TogetherSettings = field(default_factory=TogetherSettings)
    viewed: ViewedSettings = field(default_factory=ViewedSettings)
    sessions: SessionSettings = field(default_factory=SessionSettings)
    popularity: PopularitySettings = field(default_factory=PopularitySettings)
    repurchase: RepurchaseSettings = field(default_factory=RepurchaseSettings)
    trend: TrendSettings = field(default_factory=TrendSettings)
    index: IndexSettings = field(default_factory=IndexSettings)
    gate: GateSettings = field(default_factory=GateSettings)

    def recipe(self) -> str:
        """Return, as JSON, the settings that decide what is learned; equal text, equal recipe."""
        content = asdict(self)
        for name in ("threads", "keep_releases", "gate", "index"):
            del content[name]
        return json.dumps(content, sort_keys=True)


DEFAULT_SETTINGS = Path(__file__).parent / "config" / "daily.toml"


def read_settings(
    path: Path, *, variables: Mapping[str, str], flags: Iterable[str] = ()
) -> TrainingSettings:
    """Return the settings of a TOML file, under those of variables, under those of flags.

    variables: an environment; `RECSYS_TRAINING__FACTORS__DIM` sets `factors.dim`.
    flags: such as `factors.dim=32`. Values of both are TOML. Raises NotFound when there is no
    file, InvalidInput naming the first wrong field.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NotFound(
            f"no settings file can be read at {path} ({error.strerror}); name a TOML file with "
            "--settings, or leave it out for the defaults",
            reason="NO_SETTINGS",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(path.name, str(error), "a valid TOML file") from error
    for name in sorted(variables):
        if name.startswith(VARIABLES):
            keys = name.removeprefix(VARIABLES).lower().split("__")
            _put(content, keys, variables[name], name)
    for flag in flags:
        key, _, text = flag.partition("=")
        _put(content, key.strip().split("."), text, f"--set {key}")
    return _checked(content, path.name)


def recipe_settings(recipe: str) -> TrainingSettings:
    """Return the settings of a recipe, the rest at its default. Raises InvalidInput."""
    try:
        return _checked(json.loads(recipe), "recipe")
    except ValueError as error:
        raise InvalidInput("recipe", recipe[:64], "the settings of a release") from error


def _checked(content: dict[str, Any], name: str) -> TrainingSettings:
    try:
        return TypeAdapter(TrainingSettings).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        unknown = first["type"] in ("extra_forbidden", "unexpected_keyword_argument")
        wanted = "a known key; daily.toml of the package has all" if unknown else first["msg"]
        raise InvalidInput(f"{name}: {path}", first.get("input"), wanted) from error


def _put(content: dict[str, Any], keys: list[str], text: str, source: str) -> None:
    """Set one value, given as TOML, at a path of tables."""
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(source, text, "a TOML value, such as 32 or [5.0, 20.0]") from error
    table = content
    for key in keys[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise InvalidInput(source, text, f"a setting that exists; {key} is no table")
    table[keys[-1]] = value
