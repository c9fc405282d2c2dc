"""How many runs the fault tests take, and from which seed: see `make test-faults`."""

from __future__ import annotations

import os

FULL = os.environ.get("RECSYS_FAULT_RUNS") == "full"
SEED = int(os.environ.get("RECSYS_FAULT_SEED", "20261122"))
"""A failing test says it; given again, it brings the same moments and choices back."""


def runs(usual: int, full: int) -> int:
    """Return how many runs to take."""
    return full if FULL else usual
