"""What the lake keeps, and for how long; apart from the lake, which not everybody may load."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Keeping:
    """What the lake keeps.

    versions: how long versions that are replaced can still be read.
    events_days: how many days events are kept, by their time; 0 for good.
    """

    versions: timedelta = timedelta(hours=24)
    events_days: int = 0
