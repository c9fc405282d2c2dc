"""Settings of how items go with each other."""

from __future__ import annotations

from dataclasses import dataclass

from training.grids import STRICT, Count, Days, DaysGrid, ExponentGrid, NoneOrMoreGrid, Share


@dataclass(frozen=True, slots=True)
class TogetherSettings:
    """What is bought together; all but k and soon_days are grids (`training.fit.together`).

    Of these grids, and those of the next two, each value is tried as long as it gains.

    k: neighbours an item keeps. half_life_days: 0 means never fading. alternatives: how much falls
    behind what is looked at in an item's place, 0 to 1.
    """

    __pydantic_config__ = STRICT
    k: Count = 100
    half_life_days: DaysGrid = (0.0, 180.0)
    smoothing: NoneOrMoreGrid = (3.0, 10.0, 30.0)
    exponents: ExponentGrid = (0.5, 0.35, 0.2)
    soon: NoneOrMoreGrid = (0.0, 0.3, 1.0)
    soon_days: Days = 28.0
    alternatives: ExponentGrid = (0.0, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class ViewedSettings:
    """What is looked at in one session; smoothing and exponents are grids (`training.fit.viewed`).

    k: neighbours an item keeps. decay: what a look counts for each that lies between.
    """

    __pydantic_config__ = STRICT
    k: Count = 100
    decay: Share = 0.7
    smoothing: NoneOrMoreGrid = (1.0, 3.0)
    exponents: ExponentGrid = (0.5, 0.3, 0.15)


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """Sessions as neighbours; decays and rarities are grids (`training.fit.sessions`).

    most, most_an_item: sessions kept in all and of each item, the newest. most_items: of a session.
    """

    __pydantic_config__ = STRICT
    decays: ExponentGrid = (0.6, 0.8)
    rarities: ExponentGrid = (1.0, 0.5, 0.0)
    most: Count = 500_000
    most_an_item: Count = 300
    most_items: Count = 20
