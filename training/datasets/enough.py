"""Whether there is enough to learn from, and what to say when there is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recsys.errors import NotReady
from recsys.evaluation.splits import last_windows
from recsys.events import EventType
from recsys.interactions import Interactions

FEWEST_ASKERS = 20
"""Customers who must buy before and inside a window for its measures to mean anything."""

HOW = (
    "Import orders with `recsys import events FILE` and train again. Until then no release is "
    "made: where one is served it stays, and without one there are no answers"
)


def no_events(lake: Path) -> NotReady:
    """Return the error for a lake without any event to learn from."""
    return NotReady(
        f"there are no events in {lake}: nothing can be learned, and nothing recommended yet. "
        "Bring in what customers bought with `recsys import events FILE` (CSV, JSON Lines or "
        "Parquet; `recsys import events --help` says how), then train again",
        reason="NO_EVENTS",
    )


def check_enough(interactions: Interactions, *, window_days: float, history_days: float) -> None:
    """Raise NotReady, saying what is there and what is wanted, where the events are too few.

    Wanted: `history_days` of events before two windows (validation and test), and in each window
    at least `FEWEST_ASKERS` customers who had bought before.
    """
    bought = interactions.settled().of_kind(EventType.PURCHASE)
    if not len(bought):
        raise _too_little(
            f"{len(interactions):,} events but no purchase among them",
            "purchases, which are what the models learn to foresee",
        )
    days = float((bought.times[-1] - bought.times[0]) / np.timedelta64(1, "D"))
    wanted = 2 * window_days + history_days
    if days < wanted:
        raise _too_little(
            f"{len(bought):,} purchases over {days:.1f} days",
            f"at least {wanted:g} days: {history_days:g} to learn from, and twice "
            f"{window_days:g} to choose and to test on (window_days in the settings)",
        )
    for name, split in zip(
        ("validation", "test"), last_windows(bought, window_days, 2), strict=True
    ):
        askers = len(np.intersect1d(split.past.users, split.future.users))
        if askers < FEWEST_ASKERS:
            raise _too_little(
                f"{askers} customers who bought both before and in the {name} window of "
                f"{window_days:g} days from {split.instant.astype('datetime64[D]')}",
                f"at least {FEWEST_ASKERS} of them",
            )


def _too_little(there: str, wanted: str) -> NotReady:
    return NotReady(
        f"too little to train on: there are {there}; needed are {wanted}. {HOW}",
        reason="TOO_LITTLE_DATA",
    )
