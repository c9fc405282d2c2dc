"""Refunds: a purchase that was given back is no purchase any more."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import Keys, Kinds, Mask, Scores
from recsys.events import EVENT_CODES, EventType

PURCHASE = EVENT_CODES[EventType.PURCHASE]
REFUND = EVENT_CODES[EventType.REFUND]


def kept_pieces(groups: Keys, kinds: Kinds, quantities: Scores) -> Scores:
    """Return what is left of each purchase, in pieces; 0 for a refund.

    A refund takes back the newest purchases that stand before it, piece by piece; what it cannot
    find is forgotten.

    groups: (n,) whose purchase of what, runs of equal ones; newest first within a run.
    kinds: (n,) purchases and refunds. quantities: (n,) pieces, > 0.
    """
    bought = kinds == PURCHASE
    left: Scores = np.where(bought, quantities, np.float32(0))
    some = _in_groups_with(groups, kinds == REFUND)
    if some.any():
        pieces = np.where(bought[some], quantities[some], 0.0)
        owed = _owed_before(groups[some], np.where(bought[some], -pieces, quantities[some]))
        left[some] = np.maximum(pieces - owed, 0.0)
    return left


def _in_groups_with(groups: Keys, marked: Mask) -> Mask:
    if not marked.any():
        return marked
    found: Mask = np.isin(groups, groups[marked])
    return found


def _owed_before(groups: Keys, steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how many pieces were still to be taken back when each entry is reached.

    The sum of a group's steps, held at 0 from below: Lindley's recursion, solved as the sum less
    its running minimum (Lindley 1952, The theory of queues with a single server).
    """
    first = np.concatenate(([True], groups[1:] != groups[:-1]))
    number = np.cumsum(first) - 1
    before = np.cumsum(steps) - steps
    before -= before[first][number]  # the sum of the group's earlier steps
    apart = before.max() - before.min() + 1.0
    lowest = np.minimum.accumulate(np.minimum(before, 0.0) - number * apart) + number * apart
    owed: NDArray[np.float64] = before - lowest
    return owed
