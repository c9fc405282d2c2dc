"""Where the time comes from: one place, so that everything below takes it as an argument."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the present instant, UTC."""


def utc_now() -> datetime:
    """Return the present instant, UTC."""
    return datetime.now(UTC)
