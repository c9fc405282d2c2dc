"""The environment variables of both shells by name, so that a misspelled one is not passed over."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

PREFIX = "RECSYS_"
TRAINING = "RECSYS_TRAINING__"
KNOWN = frozenset(
    f"{PREFIX}{name}"
    for name in (
        "ADMIN_PORT", "ALLOWED_UNLESS_REFUSED", "APPLY_INTERVAL_S", "BATCH_SIZE",
        "COMPACT_INTERVAL_S", "DATA_FOLDER", "DRAIN_INTERVAL_S", "DRAIN_RECORDS",
        "ERASURE_LEDGER", "EVENTS_KEPT_DAYS", "FOLLOW_INTERVAL_S", "GRACE_S", "HOST",
        "LAKE_KEEP_HOURS", "LANGUAGE", "LANGUAGES_FOLDER", "LISTS_KEPT_MINUTES", "LOG_LEVEL",
        "METRICS_PORT",
        "PLACEMENTS", "PORT", "READ_TIMEOUT_MS", "REDIS_URL", "RELEASE_POLL_S", "ROBOTS_A_DAY",
        "ROBOTS_A_MINUTE", "ROBOTS_BUYER_FACTOR", "ROBOTS_LEFT_OUT", "SERVING_CONFIG",
        "TRACKING_URI", "TRAINING_SETTINGS", "TRENDS_INTERVAL_S", "TRENDS_RECENT_HOURS",
        "TRENDS_USUAL_DAYS", "WORKERS", "WORKER_SETTINGS", "WRITE_TIMEOUT_MS",
    )
)  # fmt: skip
"""All there are, but for `RECSYS_TRAINING__*`, which training checks by itself."""


def unknown_variables(names: Iterable[str]) -> tuple[str, ...]:
    """Return a sentence for each variable that looks like ours and sets nothing."""
    return tuple(
        f"{name} sets nothing: no such setting{_meant(name)}"
        for name in sorted(names)
        if name.startswith(PREFIX) and not name.startswith(TRAINING) and name not in KNOWN
    )


def _meant(name: str) -> str:
    close = get_close_matches(name, sorted(KNOWN), n=1, cutoff=0.8)
    return f"; did you mean {close[0]}?" if close else ""
