"""A client for the commands: it says what to do where no server answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from recsys.errors import Unavailable

if TYPE_CHECKING:
    from serving.client import RecsysClient

TIMEOUT_MS = 10_000
_NO_ANSWER = ("UNAVAILABLE", "DEADLINE_EXCEEDED")


@contextmanager
def reached(address: str) -> Iterator[RecsysClient]:
    """Give a client of the server at host:port. Raises Unavailable, NO_SERVER where none is."""
    from serving.client import RecsysClient  # not at the top: gRPC takes long to load

    try:
        with RecsysClient(address, channels=1, timeout_ms=TIMEOUT_MS) as client:
            yield client
    except Unavailable as error:
        if error.reason not in _NO_ANSWER:
            raise
        raise Unavailable(
            f"no server answers at {address}; start one with `recsys serve`, or name another with "
            f"--address ({error})",
            reason="NO_SERVER",
        ) from error
