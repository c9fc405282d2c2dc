"""Why an answer rests on less than is known, as words that are the wire's, too."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Degraded(StrEnum):
    """What an answer lacks; where several are so, the first of them is said."""

    NO_RELEASE = "NO_RELEASE"
    """There is no model yet: the answer is made of the catalog alone."""
    DEADLINE = "DEADLINE"
    """There was no time for more than popular items."""
    STATE_UNAVAILABLE = "STATE_UNAVAILABLE"
    """The customer's state could not be read."""
    STATE_BEHIND = "STATE_BEHIND"
    """The store of states lacks what was acknowledged."""


_LACKING: Mapping[str, str] = {
    Degraded.NO_RELEASE: "nothing was learned yet, so the catalog alone answers",
    Degraded.DEADLINE: "there was no time for more than popular items",
    Degraded.STATE_UNAVAILABLE: "the customer was taken as unknown",
    Degraded.STATE_BEHIND: "events of the last moments may be missing",
}


def lacking(degraded: str) -> str:
    """Return what an answer lacks, in words; vague for a reason that is not known here."""
    return _LACKING.get(degraded, "less was used than is known")
