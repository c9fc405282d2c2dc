"""The Redis that a process uses: an address that was given, or the embedded Valkey."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

import structlog

from serving.settings import ServingSettings
from serving.state.address import RedisAddress, parse_redis_url
from serving.state.embedded import EmbeddedValkey

log = structlog.get_logger("serving.state")


@dataclass(slots=True)
class StateServer:
    """Where states are kept, for the holder of the data folder's lock.

    embedded: the server that is ours to start and stop; None where an address was given.
    """

    address: RedisAddress
    settings: ServingSettings
    embedded: EmbeddedValkey | None = None

    @classmethod
    async def found(cls, settings: ServingSettings) -> Self:
        """Return the server at the given address, or the embedded one, started or adopted.

        Raises InvalidInput for an address that is none, Unavailable when none can be started.
        """
        if settings.redis_url:
            return cls(parse_redis_url(settings.redis_url), settings)
        embedded = await asyncio.to_thread(EmbeddedValkey.start_or_adopt, settings.data_folder)
        log.info("embedded Valkey " + ("started" if embedded.started else "adopted"))
        return cls(embedded.address, settings, embedded)

    async def revive(self) -> None:
        """Start the embedded server again where it has died. Raises Unavailable."""
        if self.embedded is not None:
            self.embedded = await asyncio.to_thread(
                EmbeddedValkey.start_or_adopt, self.settings.data_folder
            )
            if self.embedded.started:
                log.warning("embedded Valkey had died and was started again")

    def pids(self) -> dict[str, int]:
        """Return the process of the embedded server, by its name; nothing where it is down."""
        if self.embedded is None:
            return {}
        with suppress(OSError, ValueError):
            return {"valkey": int((self.embedded.folder / "valkey.pid").read_text())}
        return {}

    async def stop(self) -> None:
        """Stop the embedded server; one at a given address is not ours."""
        if self.embedded is not None:
            await asyncio.to_thread(self.embedded.stop)

    def kill(self) -> None:
        """End the embedded server at once; what it was told is in its append-only file."""
        if self.embedded is not None:
            self.embedded.kill()
