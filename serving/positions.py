"""How far everything has come: the log, the lake, the customers' states."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from recsys.errors import Unavailable
from recsys.events import Position
from serving.log.tail import LogTail
from serving.settings import ServingSettings
from serving.state.keys import Secret, StateKeys
from serving.state.redis_store import RedisSettings, RedisStateStore
from serving.state_server import StateServer

_TIMEOUT_MS = 2_000


@dataclass(frozen=True, slots=True)
class Positions:
    """Positions in the log.

    last: the newest record. drained: in the lake up to here. trimmed: events up to here are in
    the lake alone. applied: in the customers' states up to here; None where they are not running.
    """

    last: Position
    drained: Position
    trimmed: Position
    applied: Position | None


async def positions_of(settings: ServingSettings, tail: LogTail) -> Positions:
    """Return how far everything has come; starts nothing. Raises Unavailable for the log."""
    return Positions(
        tail.last_position(),
        tail.drained_through,
        tail.trimmed_through,
        await _applied(settings),
    )


async def _applied(settings: ServingSettings) -> Position | None:
    """Return what the states hold; None where nothing keeps them just now."""
    running = settings.redis_url or _is_alive(settings.data_folder / "valkey" / "valkey.pid")
    if not (running and settings.secret_file.exists()):
        return None
    keys = StateKeys(Secret.load_or_create(settings.secret_file))
    try:
        server = await StateServer.found(settings)
        waits = RedisSettings(write_timeout_ms=_TIMEOUT_MS, connect_timeout_ms=_TIMEOUT_MS)
        store = RedisStateStore(server.address, keys, waits)
        try:
            return await store.applied_through()
        finally:
            await store.close()
    except Unavailable:
        return None


def _is_alive(pid_file: Path) -> bool:
    try:
        os.kill(int(pid_file.read_text()), 0)
    except (OSError, ValueError):
        return False
    return True
