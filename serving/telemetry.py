"""What the service says of itself: structured lines on standard error."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog

Announce = Callable[[str], None]
"""Tells whoever started the program how far it has come, in a sentence."""


def announce(sentence: str) -> None:
    """Print one sentence to standard output at once; it does not matter if nobody listens."""
    with suppress(BrokenPipeError):
        sys.stdout.write(f"{sentence}\n")
        sys.stdout.flush()


def start_logging(level: str) -> None:
    """Send log lines to standard error: for people on a terminal, as JSON elsewhere."""
    tty = sys.stderr.isatty()
    renderer: Any = (
        structlog.dev.ConsoleRenderer() if tty else structlog.processors.JSONRenderer(default=str)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S" if tty else "iso", utc=not tty),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        # One write a line: workers share this stream with the supervisor.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def described(error: Exception) -> dict[str, str]:
    """Return the type of an error and where it came from; its message may hold an id."""
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    where = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames))
    return {"error": type(error).__name__, "where": where}
