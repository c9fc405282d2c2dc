"""The states of a store under test: caught up, and compared with the model."""

from __future__ import annotations

from serving.catch_up import CatchUp
from serving.clock import Clock, utc_now
from serving.state.address import RedisAddress
from serving.state.keys import Secret, StateKeys
from serving.state.redis_store import RedisSettings, RedisStateStore
from tests.faults.model import Model, Owner, facts_of
from tests.faults.place import Place

SECRET = Secret(bytes(range(32)))
_SETTINGS = RedisSettings(
    read_timeout_ms=30_000, write_timeout_ms=30_000, connect_timeout_ms=30_000, connections=4
)
"""So patient that a busy machine is never taken for a fault."""


def keys_of(prefix: str) -> StateKeys:
    """Return the keys of one test: all of them share a server, none a prefix."""
    return StateKeys(SECRET, prefix)


def store_at(address: RedisAddress, prefix: str, clock: Clock = utc_now) -> RedisStateStore:
    """Return the store of one test."""
    return RedisStateStore(address, keys_of(prefix), _SETTINGS, clock=clock)


async def catch_up(place: Place, store: RedisStateStore) -> int:
    """Apply what the store lacks; return the position it reaches."""
    async with CatchUp(place.log_file, place.lake, store) as one:
        return await one.run(lambda done, of: None)


async def wrong_states(
    place: Place, store: RedisStateStore, model: Model, keys: StateKeys
) -> list[Owner]:
    """Return the customers whose state is not what the model says."""
    items = place.item_ids()
    states = await store.read([(keys.customer(*owner),) for owner in model.owners])
    return [
        owner
        for owner, state in zip(model.owners, states, strict=True)
        if facts_of(state, items) != model.facts(owner)
    ]
