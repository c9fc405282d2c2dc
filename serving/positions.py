"""How far everything has come: the log, the lake, the customers' states."""

from __future__ import annotations

from dataclasses import dataclass

from recsys.errors import Unavailable
from recsys.events import Position
from serving.log.tail import LogTail
from serving.settings import ServingSettings
from serving.state.address import RedisAddress, parse_redis_url
from serving.state.embedded import EmbeddedValkey
from serving.state.keys import Secret, StateKeys
from serving.state.redis_store import RedisSettings, RedisStateStore

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
    address = _address(settings)
    if address is None or not settings.secret_file.exists():
        return None
    keys = StateKeys(Secret.load_or_create(settings.secret_file))
    waits = RedisSettings(write_timeout_ms=_TIMEOUT_MS, connect_timeout_ms=_TIMEOUT_MS)
    store = RedisStateStore(address, keys, waits)
    try:
        return await store.applied_through()
    except Unavailable:
        return None
    finally:
        await store.close()


def _address(settings: ServingSettings) -> RedisAddress | None:
    """Return where the states are kept; None where the embedded server does not run."""
    if settings.redis_url:
        return parse_redis_url(settings.redis_url)
    found = EmbeddedValkey.running(settings.data_folder)
    return None if found is None else found.address
