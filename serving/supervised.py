"""What a worker hears from its supervisor."""

from __future__ import annotations

import asyncio

import orjson


class FromSupervisor(asyncio.Protocol):
    """What the supervisor says through the pipe, in lines of JSON.

    stop: set when the pipe closes, which it does when the supervisor ends, however that happens.
    behind: whether the store does not take what is acknowledged.
    """

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.behind = False
        self._begun = b""

    def data_received(self, data: bytes) -> None:
        """Take in whole lines; the newest counts."""
        *lines, self._begun = (self._begun + data).split(b"\n")
        if lines:
            self.behind = orjson.loads(lines[-1])["behind"]

    def connection_lost(self, error: Exception | None) -> None:
        """Stop: the supervisor has ended."""
        self.stop.set()
