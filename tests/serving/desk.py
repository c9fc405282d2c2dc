"""A server of customers alone: the real servicer over a real log and a real store."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import grpc
import structlog

from protos.recsys.v1 import customer_service_pb2_grpc as pb_grpc
from recsys.events import Event, Position, Record
from recsys.items import Item
from serving.api.customer_servicer import CustomerServicer
from serving.api.interceptors import StatusInterceptor
from serving.clock import utc_now
from serving.customers import Customers
from serving.erasure.asking import Erasures
from serving.erasure.exporting import Exports
from serving.erasure.places import Places
from serving.log.sqlite_log import SqliteLog
from serving.metrics import CallMetrics, Registry
from serving.settings import ServingSettings, read_settings
from serving.state.embedded import EmbeddedValkey
from serving.state.erasing import StateErasing
from serving.state.keys import Secret, StateKeys
from serving.state.redis_store import RedisSettings, RedisStateStore

_PATIENT = RedisSettings(read_timeout_ms=10_000)
_prefixes = (f"desk{n}:" for n in count())


@dataclass
class Desk:
    """Where customers are asked for and changed, and what they did is told."""

    address: str
    log: SqliteLog
    store: RedisStateStore
    settings: ServingSettings

    async def describe(self, *items: Item) -> None:
        await self.log.change_items(list(items))

    async def did(self, *events: Event) -> None:
        appended = await self.log.append([Record(event) for event in events])
        await self.store.apply(appended.new)


@asynccontextmanager
async def opened(valkey: EmbeddedValkey, folder: Path) -> AsyncIterator[Desk]:
    """Give a desk over a new log in a folder. The states in exports are those of another shop."""
    settings = read_settings(data_folder=folder, redis_url=valkey.address.url)
    keys = StateKeys(Secret.load_or_create(settings.secret_file), next(_prefixes))
    store = RedisStateStore(valkey.address, keys, _PATIENT)
    await store.set_applied_through(Position(0), expected=None)
    log = SqliteLog(settings.log_file, clock=utc_now)
    erasing = StateErasing(store, valkey.address, keys)
    erasures = Erasures(Places.of(settings), keys, erasing, clock=utc_now)
    customers = Customers(log, store, keys, being_erased=erasures.under_way)
    server = grpc.aio.server(interceptors=[StatusInterceptor(CallMetrics(Registry()))])
    pb_grpc.add_CustomerServiceServicer_to_server(
        CustomerServicer(customers, utc_now, erasures=erasures, exports=Exports(settings)), server
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    with _quiet():
        yield Desk(f"127.0.0.1:{port}", log, store, settings)
    await server.stop(None)
    await log.close()
    await store.close()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what a server logs of calls out of what a command prints."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    yield
    structlog.configure(**before)
