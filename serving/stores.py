"""The stores of states and of lists as a worker opens them."""

from __future__ import annotations

from serving.metrics import Registry, StateMetrics
from serving.settings import ServingSettings
from serving.shown_lists import ListStore, ShownLists
from serving.state.address import parse_redis_url
from serving.state.keys import StateKeys
from serving.state.redis_store import RedisSettings, RedisStateStore


def store_of(settings: ServingSettings, keys: StateKeys, registry: Registry) -> RedisStateStore:
    """Return the customers' states, with the patience of the settings."""
    timeouts = RedisSettings(
        read_timeout_ms=settings.read_timeout_ms,
        write_timeout_ms=settings.write_timeout_ms,
        unless_stated=settings.allowed_unless_refused,
        list_expiry_s=max(1, settings.lists_kept_minutes * 60),
    )
    address = parse_redis_url(settings.redis_url)
    return RedisStateStore(address, keys, timeouts, metrics=StateMetrics.of(registry))


def lists_of(settings: ServingSettings, store: ListStore, keys: StateKeys) -> ShownLists:
    """Return the lists that others go on from, kept for as long as the settings say."""
    return ShownLists(store, keys, kept=settings.lists_kept_minutes > 0)
