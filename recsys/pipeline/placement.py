"""Placements: which stages make a list, as configuration. Reads `placements.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from recsys.context import RelatesTo
from recsys.errors import InvalidInput, NotFound
from recsys.fields import ITEM_TYPES
from recsys.pipeline.filter_configs import STRICT, FilterConfig
from recsys.predicates.parser import parse
from recsys.predicates.values import ValueType

Positive = Annotated[int, Field(gt=0, le=10_000)]


class SourceKind(StrEnum):
    """The candidate sources a placement can use; the value names the source in answers."""

    NEAREST = "nearest"
    SIMILAR_TO_HISTORY = "similar_to_history"
    BOUGHT_TOGETHER = "bought_together"
    ALSO_VIEWED = "also_viewed"
    ALIKE = "alike"
    SESSION = "session"
    BUY_AGAIN = "buy_again"
    BOUGHT_LATELY = "bought_lately"
    POPULAR = "popular"
    TRENDING = "trending"
    RECENTLY_VIEWED = "recently_viewed"
    ABANDONED = "abandoned"
    NEW = "new"
    SEARCHED = "searched"
    DUE = "due"


LIMITED_BY_DAYS = (SourceKind.RECENTLY_VIEWED, SourceKind.ABANDONED, SourceKind.NEW)
"""Sources that may look back for so many days only."""


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """One source and how many candidates it proposes.

    days: how far back it looks, where it is one of `LIMITED_BY_DAYS`; infinity for all there is.
    """

    __pydantic_config__ = STRICT
    kind: SourceKind
    k: Positive
    days: Annotated[float, Field(gt=0)] = float("inf")


@dataclass(frozen=True, slots=True)
class BlendConfig:
    """A weighted sum of the sources; the weights, chosen on validation, live in the bundle.

    like: the placement whose weights count, instead of some of its own; empty for its own.
    """

    __pydantic_config__ = STRICT
    kind: Literal["blend"]
    like: str = ""


@dataclass(frozen=True, slots=True)
class TopConfig:
    """The best, as they come."""

    __pydantic_config__ = STRICT
    kind: Literal["top"]


@dataclass(frozen=True, slots=True)
class VariedConfig:
    """The best, at most so many of one category in front."""

    __pydantic_config__ = STRICT
    kind: Literal["varied"]
    per_category: Positive


SelectorConfig = TopConfig | VariedConfig


@dataclass(frozen=True, slots=True)
class NewcomersConfig:
    """How much of each list goes to items of which too little is known to rank them.

    share: part of a list, on average. days: how long an item is new, from when it was described
    first. evidence: purchases in what was learned, from which on it is ranked like any other.
    """

    __pydantic_config__ = STRICT
    share: Annotated[float, Field(gt=0, le=0.5)]
    days: Annotated[float, Field(gt=0, le=3_650)]
    evidence: Annotated[float, Field(gt=0, le=1e6)]


@dataclass(frozen=True, slots=True)
class RotationConfig:
    """How what was shown in vain steps back.

    rate: share of its score that an item loses each time. days: how long a showing counts.
    """

    __pydantic_config__ = STRICT
    rate: Annotated[float, Field(gt=0, le=1)]
    days: Annotated[float, Field(gt=0, le=365)]


@dataclass(frozen=True, slots=True)
class ExplorationConfig:
    """How much of each list is drawn from below the cut. share: part of a list, on average."""

    __pydantic_config__ = STRICT
    share: Annotated[float, Field(gt=0, le=0.5)]


RELEVANCE_LEVELS = {"low": 0.1, "medium": 0.25, "high": 0.5}
"""Words for shares of the best score."""


def _share_of(level: object) -> object:
    """Return the share that a word stands for; what is no word stays as it is."""
    if not isinstance(level, str):
        return level
    if level not in RELEVANCE_LEVELS:
        raise ValueError(f"{', '.join(RELEVANCE_LEVELS)}, or a number from 0 to 1")
    return RELEVANCE_LEVELS[level]


def _nothing(text: object) -> object:
    """Return nothing in place of the empty text."""
    return None if text == "" else text


Share = Annotated[float, Field(ge=0, le=1)]
Preference = Annotated[float, Field(ge=-1, le=1)]


class Situation(StrEnum):
    """The moment a placement is for, and so how it is replayed in evaluation."""

    VISIT = "visit"
    """The customer arrives: what will they buy next?"""
    DISCOVERY = "discovery"
    """As a visit, for things the customer never bought."""
    BASKET = "basket"
    """Items are at hand: what else goes into this basket?"""
    SESSION = "session"
    """An item is looked at: what is looked at or bought next in this session?"""
    DUE = "due"
    """Of the things bought before: which are bought again within a week?"""


@dataclass(frozen=True, slots=True)
class PlacementConfig:
    """One named list.

    size: items in an answer that does not ask for a number.
    situation: how it is judged; nothing where replay of the past cannot tell.
    newcomers: nothing for a list that goes by rank alone.
    relates_to: what the list is about: the items on the page, in the cart, both; or what the asker
        viewed or bought last.
    fallback: the placement that fills a list this one cannot fill; empty for none.
    filter: what items have to be, in words (`recsys.predicates`), beside the filters.
    diversity: how much items are to differ from those before them, 0 (as ranked) to 1.
    rotation: nothing where it does not count what was shown before.
    min_relevance: share of the best score below which items leave, 0 to 1.
    price_preference: toward the dearer (above 0) or the cheaper (below), -1 to 1.
    objectives: how much the numeric fields of items weigh beside relevance, -1 to 1.
    exploration: nothing where every place goes by rank.
    """

    __pydantic_config__ = STRICT
    size: Annotated[int, Field(gt=0, le=500)]
    sources: Annotated[tuple[SourceConfig, ...], Field(min_length=1)]
    situation: Annotated[Situation | None, BeforeValidator(_nothing)] = None
    filters: tuple[Annotated[FilterConfig, Field(discriminator="kind")], ...] = ()
    ranker: BlendConfig = field(default_factory=lambda: BlendConfig("blend"))
    selector: Annotated[SelectorConfig, Field(discriminator="kind")] = field(
        default_factory=lambda: TopConfig("top")
    )
    newcomers: NewcomersConfig | None = None
    relates_to: RelatesTo = RelatesTo.BOTH
    fallback: str = ""
    filter: str = ""
    diversity: Share = 0.0
    rotation: RotationConfig | None = None
    min_relevance: Annotated[Share, BeforeValidator(_share_of)] = 0.0
    price_preference: Preference = 0.0
    objectives: Annotated[dict[str, Preference], Field(max_length=10)] = field(default_factory=dict)
    exploration: ExplorationConfig | None = None

    @property
    def lifts(self) -> Mapping[str, float]:
        """What weighs beside relevance: the objectives, and the price if it does."""
        price = {"price": self.price_preference} if self.price_preference else {}
        return {name: weight for name, weight in (self.objectives | price).items() if weight}


@dataclass(frozen=True, slots=True)
class _PlacementsFile:
    __pydantic_config__ = STRICT
    placements: Annotated[dict[str, PlacementConfig], Field(min_length=1)]


def read_placements(path: Path) -> Mapping[str, PlacementConfig]:
    """Return the placements of a TOML file by name.

    Raises NotFound when there is no file, InvalidInput naming the first wrong field.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as missing:
        raise NotFound(f"no placements file at {path}", reason="NO_PLACEMENTS") from missing
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(str(path), str(error), "a TOML file in UTF-8") from error
    return parse_placements(text, name=path.name)


def parse_placements(text: str, *, name: str = "placements.toml") -> Mapping[str, PlacementConfig]:
    """Return the placements of a TOML text; `name` stands in errors for where it came from."""
    try:
        placements = TypeAdapter(_PlacementsFile).validate_python(tomllib.loads(text)).placements
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(name, str(error), "a valid TOML file") from error
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        if first["type"] == "missing" and first["loc"] == ("placements",):
            raise InvalidInput(
                name, "no table of placements", "[placements.NAME] tables"
            ) from error
        extra = first["type"] in ("extra_forbidden", "unexpected_keyword_argument")
        said = first["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
        wanted = "a known key" if extra else said
        raise InvalidInput(f"{name}: {path}", first.get("input"), wanted) from error
    _check_others(placements, name)
    for placement, config in placements.items():
        if config.filter:
            parse(config.filter, field=f"{name}: placements.{placement}.filter")
        _check_objectives(config, f"{name}: placements.{placement}.objectives")
        _check_sources(config, f"{name}: placements.{placement}.sources")
    return placements


def _check_others(placements: Mapping[str, PlacementConfig], name: str) -> None:
    """Raise InvalidInput for a fallback, or a source of weights, that is no other placement."""
    for placement, config in placements.items():
        others = sorted(set(placements) - {placement})
        named = {"fallback": config.fallback, "ranker.like": config.ranker.like}
        for key, other in named.items():
            if other and other not in others:
                field = f"{name}: placements.{placement}.{key}"
                raise InvalidInput(field, other, f"one of {', '.join(others)}")


def _check_sources(config: PlacementConfig, path: str) -> None:
    """Raise InvalidInput for a source that stands twice, or that days mean nothing to."""
    for place, source in enumerate(config.sources):
        if source.kind in [other.kind for other in config.sources[:place]]:
            raise InvalidInput(f"{path}.{place}.kind", source.kind, "a source that stands once")
        if source.days < float("inf") and source.kind not in LIMITED_BY_DAYS:
            kinds = ", ".join(LIMITED_BY_DAYS)
            raise InvalidInput(f"{path}.{place}.days", source.days, f"days of {kinds} alone")


def _check_objectives(config: PlacementConfig, path: str) -> None:
    """Raise InvalidInput for an objective that is no number, or that is said twice."""
    for objective in config.objectives:
        if ITEM_TYPES.get(objective, ValueType.NUMBER) is not ValueType.NUMBER:
            raise InvalidInput(path, objective, "fields of items that are numbers")
        if objective == "price" and config.price_preference:
            raise InvalidInput(f"{path}.price", objective, "either this or price_preference")


DEFAULT_PLACEMENTS = Path(__file__).with_name("placements.toml")
"""The placements that come with the package, for a shop that brings none of its own."""
