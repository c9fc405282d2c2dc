"""A log and an ingest before a store in trouble."""

from __future__ import annotations

from dataclasses import dataclass

from recsys.errors import Unavailable
from recsys.query import Query
from serving.ingest import Ingest
from serving.log.sqlite_log import SqliteLog
from serving.state.embedded import EmbeddedValkey
from serving.state.redis_store import RedisSettings, RedisStateStore
from tests.faults.model import Model
from tests.faults.place import START, Place, events
from tests.faults.proxy import FaultProxy
from tests.faults.states import catch_up, keys_of, store_at, wrong_states

PREFIX = "troubled:"
IMPATIENT = RedisSettings(
    read_timeout_ms=100, write_timeout_ms=200, connect_timeout_ms=100, connections=4
)


@dataclass
class House:
    """A log and an ingest before a store that may be in trouble.

    valkey: behind the proxy, this test's own.
    """

    place: Place
    log: SqliteLog
    store: RedisStateStore
    ingest: Ingest
    proxy: FaultProxy
    valkey: EmbeddedValkey

    async def write(self, first: int, last: int) -> int:
        """Write events one call each five; return how many were acknowledged."""
        accepted = 0
        for start in range(first, last + 1, 5):
            result = await self.ingest.write(events(start, min(start + 4, last)), [])
            accepted += result.accepted
        return accepted

    async def missing(self, last: int) -> list[object]:
        """Catch up past the proxy; return the customers whose state is wrong then."""
        store = store_at(self.valkey.address, PREFIX)
        await catch_up(self.place, store)
        model = Model(events(0, last))
        wrong: list[object] = list(await wrong_states(self.place, store, model, keys_of(PREFIX)))
        await store.close()
        return wrong

    async def readable(self) -> bool:
        """Return whether answers would be personal."""
        keys = keys_of(PREFIX)
        try:
            await self.store.read([keys.of_query(Query("home", START, user_id="ec1"))])
        except Unavailable:
            return False
        return True
