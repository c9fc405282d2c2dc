"""Filters as configuration: one class a kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from recsys.state import SHOWN

STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class AvailableConfig:
    """Only what may be sold."""

    __pydantic_config__ = STRICT
    kind: Literal["available"]


@dataclass(frozen=True, slots=True)
class NotSeedsConfig:
    """Nothing that is on the page already."""

    __pydantic_config__ = STRICT
    kind: Literal["not_seeds"]


@dataclass(frozen=True, slots=True)
class NotHiddenConfig:
    """Nothing the customer has hidden."""

    __pydantic_config__ = STRICT
    kind: Literal["not_hidden"]


@dataclass(frozen=True, slots=True)
class NotPurchasedConfig:
    """Nothing bought within so many days."""

    __pydantic_config__ = STRICT
    kind: Literal["not_purchased"]
    within_days: Annotated[float, Field(gt=0)] = float("inf")


@dataclass(frozen=True, slots=True)
class NotViewedConfig:
    """Nothing clicked or looked at within so many days."""

    __pydantic_config__ = STRICT
    kind: Literal["not_viewed"]
    within_days: Annotated[float, Field(gt=0)] = float("inf")


@dataclass(frozen=True, slots=True)
class NotShownConfig:
    """Nothing that was shown in lists within so many days, so many times."""

    __pydantic_config__ = STRICT
    kind: Literal["not_shown"]
    within_days: Annotated[float, Field(gt=0)] = float("inf")
    times: Annotated[int, Field(gt=0, le=SHOWN.limit)] = 1


@dataclass(frozen=True, slots=True)
class NotMailedConfig:
    """Nothing that stood in an e-mail within so many days."""

    __pydantic_config__ = STRICT
    kind: Literal["not_mailed"]
    within_days: Annotated[float, Field(gt=0)] = float("inf")


FilterConfig = (
    AvailableConfig
    | NotSeedsConfig
    | NotHiddenConfig
    | NotPurchasedConfig
    | NotViewedConfig
    | NotShownConfig
    | NotMailedConfig
)
