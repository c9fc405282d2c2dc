"""The kinds of numbers that settings hold, and grids of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

STRICT = ConfigDict(extra="forbid")

Count = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Days = Annotated[float, Field(gt=0)]
DaysGrid = Annotated[tuple[Annotated[float, Field(ge=0)], ...], Field(min_length=1)]
NoneOrMoreGrid = DaysGrid
PositiveGrid = Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)]
ExponentGrid = Annotated[tuple[Share, ...], Field(min_length=1)]
